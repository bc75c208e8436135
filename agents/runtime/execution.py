"""Model calls as runs: opened before the call, closed whatever happens, with no database connection held meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agents.providers import openai_compatible
from agents.providers.pricing import cost_of
from agents.providers.protocol import Completion
from agents.runtime import loop
from agents.runtime.invocations import Attempt, Plan, close, give_up, open_all
from agents.runtime.loop import Done, Task, Tell
from agents.runtime.toolbox import Caller, Limits
from agents.transport import bridge
from governance.access.actors import Actor
from governance.core.db import briefly, let_go, on_thread
from governance.core.errors import DomainError, InvalidInputError, ProviderError, ProviderTimeoutError
from governance.realtime.runtime import refuse_when_full
from governance.runs import slots
from prompts.content.protocol import Content
from prompts.content.rendering import Rendered, TooLongError

CLIENT_GONE = "the client went away before the end"
STOPPED = "it was stopped before the end"
#: Seconds after which an answer begins without its first event, so that no proxy gives up on it.
FIRST_EVENT_WITHIN = 1.0


def render_strictly(content: Content, variables: Mapping[str, Any], *, strict: bool) -> Rendered:
    """Render. Raises InvalidInputError for a text over the limit of a request, and with `strict` for lacking values."""
    limit = settings.PROMPTOPS_MAX_BODY_BYTES
    try:
        rendered = content.render(variables, limit=limit)
    except TooLongError:
        raise InvalidInputError.of("variables", f"with them the text would have over {limit} characters") from None
    if strict and rendered.missing:
        names = ", ".join(rendered.missing)
        raise InvalidInputError(f"variables: there is no value for {names}", fields={"variables": rendered.missing})
    return rendered


def run(*, actor: Actor, plan: Plan) -> dict[str, Any]:
    """Run a prompt on a model; the answer is the contract's (section 7).

    Raises ProviderError with `rendered` and `run_id` in its body, so that a failed run can be looked up.
    """
    [outcome] = run_each(actor=actor, plans=[plan])
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def run_each(*, actor: Actor, plans: Sequence[Plan]) -> list[dict[str, Any] | DomainError]:
    """Make several runs at once: for each, in order, its answer or its error."""
    with slots.take(actor, len(plans)):
        attempts = open_all(actor, plans)
        try:
            let_go()
            outcomes = bridge.run(_complete_each, attempts)
            return [close(attempt, outcome) for attempt, outcome in zip(attempts, outcomes, strict=True)]
        except BaseException as error:
            give_up(attempts, f"internal error: {type(error).__name__}")
            raise


async def run_here(*, actor: Actor, plan: Plan, tell: Tell | None = None) -> dict[str, Any]:
    """The same as `run`, for who is on the loop of model calls already; database work goes to the caller's thread.

    `tell` is told of what happens as it happens. When the task is cancelled, so is the run: it is closed as failed.
    """
    opening = asyncio.ensure_future(bridge.on_caller(briefly, open_all, actor, [plan]))
    try:
        [attempt] = await asyncio.shield(opening)
    except asyncio.CancelledError:
        [attempt] = await opening
        await _give_up_from_here(attempt, STOPPED)
        raise
    try:
        outcome = await _perform(attempt, tell)
        answer: dict[str, Any] | DomainError = await bridge.on_caller(briefly, close, attempt, outcome)
    except BaseException as error:
        why = STOPPED if isinstance(error, asyncio.CancelledError) else f"internal error: {type(error).__name__}"
        await asyncio.shield(_give_up_from_here(attempt, why))
        raise
    if isinstance(answer, DomainError):
        raise answer
    return answer


class Stream:
    """Several runs at once, piece by piece: `delta` as it comes, `variant` when one of them ends, `result` at last.

    An agent's run tells of more: `turn` when a further one begins, `tool_call` and `tool_result`.

    The first event is waited for a moment where the stream is made, so that a run which fails at once raises its
    ProviderError; one that fails later has an `error` event. Events are (name, data); those of a single run don't name
    a variant, and there is no `variant` event.

    Raises TooManyStreamsError.
    """

    def __init__(self, *, actor: Actor, plans: Sequence[Plan], single: bool) -> None:
        refuse_when_full(actor)
        self.actor = actor
        self.workspaces = {plan.subject.workspace_id for plan in plans}
        self._why = CLIENT_GONE
        self._single = single
        self._answers: list[dict[str, Any] | None] = [None] * len(plans)
        with slots.take(actor, len(plans)) as places:
            self._attempts = open_all(actor, plans, at_once=True)
            self._flow = bridge.Flow(lambda: _stream_each(self._attempts))
            places.keep_until(self._flow.when_done)
        try:
            let_go()
            self._first: tuple[int, Any] | None = self._flow.take(within=FIRST_EVENT_WITHIN)
            if single and self._first is not None and isinstance(self._first[1], Exception):
                outcome = close(self._attempts[0], self._first[1])
                assert isinstance(outcome, DomainError)  # noqa: S101  # an error closes as one
                raise outcome
        except BaseException as error:
            self._flow.close()
            give_up(self._attempts, f"internal error: {type(error).__name__}")
            raise

    def stop(self, why: str) -> None:
        """Set the reason with which unfinished runs are closed; it is otherwise that the client went away."""
        self._why = why

    async def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """The events; runs that are not over when somebody stops listening are closed as failed."""
        try:
            while None in self._answers:
                number, item = self._first or await self._flow.take_async()
                self._first = None
                which = {} if self._single else {"variant": number}
                if isinstance(item, str):
                    yield "delta", {**which, "text": item}
                    continue
                if isinstance(item, _Event):
                    yield item.name, {**which, **item.data}
                    continue
                outcome = await on_thread(close, self._attempts[number], item)
                answer = outcome if isinstance(outcome, dict) else failure(outcome)
                self._answers[number] = answer
                if not self._single:
                    yield "variant", {**which, **answer}
                elif isinstance(outcome, DomainError):
                    yield "error", answer
                else:
                    yield "result", answer
            if not self._single:
                yield "result", {"variants": self._answers}
        finally:
            self._flow.close()
            if None in self._answers:
                await asyncio.shield(on_thread(give_up, self._attempts, self._why))


def failure(error: DomainError) -> dict[str, Any]:
    """A failed run among others: what the body of its answer would have said."""
    return {"error": error.message, "code": error.code, **error.extra}


async def _give_up_from_here(attempt: Attempt, why: str) -> None:
    try:
        await bridge.on_caller(briefly, give_up, [attempt], why)
    except RuntimeError:  # nobody waits any more where this would be done
        await asyncio.to_thread(briefly, give_up, [attempt], why)


async def _perform(attempt: Attempt, tell: Tell | None) -> Done | Exception:
    """Make the run's calls. What goes wrong is what it returns, so that others beside it go on."""
    try:
        return await _done(attempt, tell)
    except Exception as error:
        return error
    finally:
        attempt.run.stop()


async def _done(attempt: Attempt, tell: Tell | None) -> Done:
    plan, turn = attempt.plan, attempt.turn
    if plan.task is None and turn is None and tell is None:
        with loop.halves_counted(plan.call, attempt.meter):
            return _measured(attempt, await openai_compatible.complete(plan.call))
    if plan.task is None and turn is None:
        assert tell is not None  # noqa: S101  # the case above
        with loop.halves_counted(plan.call, attempt.meter):
            async for item in openai_compatible.stream(plan.call):
                if not isinstance(item, str):
                    return _measured(attempt, item)
                tell("delta", {"text": item})
    actor, subject = attempt.actor, plan.subject
    caller = Caller(
        actor=actor.within(subject.workspace_id, subject.environment) if plan.confined else actor,
        workspace_id=subject.workspace_id,
        environment=subject.environment,
        run_id=attempt.run.id,
        depth=plan.depth + 1,
        meter=attempt.meter,
        unit=plan.unit,
    )
    try:
        async with asyncio.timeout(settings.PROMPTOPS_AGENT_TIMEOUT):
            return await loop.work(
                call=plan.call,
                task=plan.task or Task(limits=Limits()),
                history=turn.history if turn else (),
                caller=caller,
                tell=tell,
            )
    except TimeoutError:
        limit = settings.PROMPTOPS_AGENT_TIMEOUT
        raise ProviderTimeoutError(f"the agent was not done within {limit:g} seconds") from None


def _measured(attempt: Attempt, completion: Completion) -> Done:
    cost = cost_of(provider=attempt.plan.call.provider.name, model=completion.model, usage=completion.usage)
    attempt.meter.add(completion.usage, cost)
    if completion.tool_calls and not completion.output.strip():
        label = attempt.plan.call.provider.label
        raise ProviderError(f"{label} said nothing, and wants to call a tool, of which it was offered none")
    return Done(completion=completion)


async def _complete_each(attempts: Sequence[Attempt]) -> list[Done | Exception]:
    return await asyncio.gather(*(_perform(attempt, None) for attempt in attempts))


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    data: dict[str, Any]


_Item = str | _Event | Done | Exception


async def _stream_each(attempts: Sequence[Attempt]) -> AsyncIterator[tuple[int, _Item]]:
    """What each of the runs makes, as it comes, with its number; its last item is what was done, or an error."""
    made: asyncio.Queue[tuple[int, _Item]] = asyncio.Queue()

    async def one(number: int, attempt: Attempt) -> None:
        def tell(name: str, data: dict[str, Any]) -> None:
            made.put_nowait((number, data["text"] if name == "delta" else _Event(name, data)))

        made.put_nowait((number, await _perform(attempt, tell)))

    await asyncio.to_thread(
        openai_compatible.warm_up
    )  # here, so that the first answer of a process begins no later than others
    async with asyncio.TaskGroup() as group:
        for number, attempt in enumerate(attempts):
            group.create_task(one(number, attempt))
        going = len(attempts)
        while going:
            item = await made.get()
            going -= isinstance(item[1], Done | Exception)
            yield item
