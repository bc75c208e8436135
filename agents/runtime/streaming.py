"""Runs as server-sent events: `delta` as output comes, at the end one `result`, or one `error`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.http import StreamingHttpResponse

from agents.runtime.execution import failure, perform
from agents.runtime.invocations import Invocation, Plan, RunAnswer, close, give_up, open_all, warm_up_for
from agents.runtime.loop import Done
from agents.transport import bridge
from governance.access.actors import Actor
from governance.core.db import let_go, on_thread
from governance.core.errors import DomainError
from governance.realtime import events
from governance.realtime.runtime import refuse_when_full
from governance.runs import slots

CLIENT_GONE = "the client went away before the end"
#: Seconds after which an answer begins without its first event, so that no proxy gives up on it.
FIRST_EVENT_WITHIN = 1.0


class EventSource(Protocol):
    """Makes the events of an answer, for `actor`, who has to see the workspaces until the end."""

    @property
    def actor(self) -> Actor: ...
    @property
    def workspaces(self) -> Collection[str]: ...
    def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]: ...
    def stop(self, reason: str) -> None:
        """The credential has ended, for that reason; `events` is closed next."""


def respond(source: EventSource) -> StreamingHttpResponse:
    """The answer to a request that asked for a stream."""
    return events.respond(source.events(), actor=source.actor, workspaces=source.workspaces, on_revoked=source.stop)


class Stream:
    """Several runs side by side, as events: `delta` as output comes, `variant` when a run ends, `result` at last.

    An agent's run has more events: `turn` when a further one begins, `tool_call` and `tool_result`. The events of a
    single run don't name a variant, and there is no `variant` event.

    The first event is waited for a moment where the stream is made, so that a run which fails at once raises its
    ProviderError; a run that fails later has an `error` event. Raises TooManyStreamsError.
    """

    def __init__(self, *, actor: Actor, plans: Sequence[Plan], single: bool) -> None:
        refuse_when_full(actor)
        self.actor = actor
        self.workspaces = {plan.subject.workspace_id for plan in plans}
        self._reason = CLIENT_GONE
        self._single = single
        self._answers: list[RunAnswer | None] = [None] * len(plans)
        with slots.take(actor, len(plans)) as slot:
            self._invocations = open_all(actor, plans, warm_up=False)
            self._flow = bridge.Flow(lambda: _stream_all(self._invocations))
            slot.keep_until(self._flow.when_done)
        try:
            let_go()
            self._first: tuple[int, _Item] | None = self._flow.take(within=FIRST_EVENT_WITHIN)
            if single and self._first is not None and isinstance(self._first[1], Exception):
                outcome = close(self._invocations[0], self._first[1])
                assert isinstance(outcome, DomainError)  # noqa: S101  # an error closes as one
                raise outcome
        except BaseException as error:
            self._flow.close()
            give_up(self._invocations, f"internal error: {type(error).__name__}")
            raise

    def stop(self, reason: str) -> None:
        """Set the reason with which unfinished runs are closed; without it, the client went away."""
        self._reason = reason

    async def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """The events. Runs that are not over when this is closed are closed as failed."""
        try:
            while None in self._answers:
                number, item = self._first or await self._flow.take_async()
                self._first = None
                variant = {} if self._single else {"variant": number}
                if isinstance(item, _Event):
                    yield item.name, {**variant, **item.data}
                    continue
                outcome = await on_thread(close, self._invocations[number], item)
                answer = outcome if isinstance(outcome, dict) else failure(outcome)
                self._answers[number] = answer
                if not self._single:
                    yield "variant", {**variant, **answer}
                elif isinstance(outcome, DomainError):
                    yield "error", answer
                else:
                    yield "result", answer
            if not self._single:
                yield "result", {"variants": self._answers}
        finally:
            self._flow.close()
            if None in self._answers:
                await asyncio.shield(on_thread(give_up, self._invocations, self._reason))


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    data: dict[str, Any]


_Item = _Event | Done | Exception


async def _stream_all(invocations: Sequence[Invocation]) -> AsyncIterator[tuple[int, _Item]]:
    """The events of all runs as they happen, each with its run's number. A run's last item is its outcome."""
    items: asyncio.Queue[tuple[int, _Item]] = asyncio.Queue()

    async def one(number: int, invocation: Invocation) -> None:
        def emit(name: str, data: dict[str, Any]) -> None:
            items.put_nowait((number, _Event(name, data)))

        items.put_nowait((number, await perform(invocation, emit)))

    # Here and not before the answer begins: the first stream of a process begins no later than others.
    await asyncio.to_thread(warm_up_for, [invocation.plan for invocation in invocations])
    async with asyncio.TaskGroup() as group:
        for number, invocation in enumerate(invocations):
            group.create_task(one(number, invocation))
        remaining = len(invocations)
        while remaining:
            item = await items.get()
            remaining -= isinstance(item[1], Done | Exception)
            yield item
