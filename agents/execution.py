"""Model calls as runs: opened before the call, closed whatever happens, with no database connection held meanwhile."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from agents.pricing import cost_of
from agents.providers import bridge, client
from agents.providers.base import Completion, ModelCall
from governance import runs
from governance.actors import Actor
from governance.db import on_thread
from governance.errors import DomainError, InvalidInputError
from governance.runs import OpenRun
from prompts.rendering import Rendered, TooLongError, render

CLIENT_GONE = "the client went away before the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a run is of, as the run log names it."""

    source: str
    workspace_id: str
    ref_id: uuid.UUID | None = None
    ref_key: str = ""
    prompt_id: uuid.UUID | None = None
    environment: str = ""
    version: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run to be made: of what, with which text, by which call."""

    subject: Subject
    rendered: Rendered
    call: ModelCall


@dataclass(slots=True)
class _Attempt:
    plan: Plan
    run: OpenRun
    closed: bool = False


def render_strictly(template: str, variables: Mapping[str, Any], *, strict: bool) -> Rendered:
    """Render. Raises InvalidInputError for a text over the limit of a request, and with `strict` for lacking values."""
    limit = settings.PROMPTOPS_MAX_BODY_BYTES
    try:
        rendered = render(template, variables, limit=limit)
    except TooLongError:
        raise InvalidInputError.of("variables", f"with them the text would have over {limit} characters") from None
    if strict and rendered.missing:
        names = ", ".join(rendered.missing)
        raise InvalidInputError(f"variables: there is no value for {names}", fields={"variables": rendered.missing})
    return rendered


def complete(call: ModelCall) -> Completion:
    """Make a call that is part of a run. This thread waits, and holds no connection to the database."""
    client.warm_up()
    _let_go()
    return bridge.run(client.complete, call)


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
    attempts = _open(actor, plans)
    try:
        _let_go()
        outcomes = bridge.run(_complete_each, attempts)
        return [_close(attempt, outcome) for attempt, outcome in zip(attempts, outcomes, strict=True)]
    except BaseException as error:
        _give_up(attempts, f"internal error: {type(error).__name__}")
        raise


class Stream:
    """Several runs at once, piece by piece: `delta` as it comes, `variant` when one of them ends, `result` at last.

    The first event is waited for where it is made, so that a run which fails at once raises its ProviderError. Events
    are (name, data); those of a single run don't name a variant, and there is no `variant` event.
    """

    def __init__(self, *, actor: Actor, plans: Sequence[Plan], single: bool) -> None:
        self._single = single
        self._answers: list[dict[str, Any] | None] = [None] * len(plans)
        self._attempts = _open(actor, plans)
        self._flow = bridge.Flow(lambda: _stream_each(self._attempts))
        try:
            _let_go()
            self._first: tuple[int, Any] | None = self._flow.take()
            if single and isinstance(self._first[1], Exception):
                outcome = _close(self._attempts[0], self._first[1])
                assert isinstance(outcome, DomainError)  # noqa: S101  # an error closes as one
                raise outcome
        except BaseException as error:
            self._flow.close()
            _give_up(self._attempts, f"internal error: {type(error).__name__}")
            raise

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events; runs that are not over when somebody stops listening are closed as failed."""
        try:
            while None in self._answers:
                number, item = self._first or await self._flow.take_async()
                self._first = None
                which = {} if self._single else {"variant": number}
                if isinstance(item, str):
                    yield "delta", {**which, "text": item}
                    continue
                outcome = await on_thread(_close, self._attempts[number], item)
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
                await asyncio.shield(on_thread(_give_up, self._attempts, CLIENT_GONE))


def failure(error: DomainError) -> dict[str, Any]:
    """A failed run among others: what the body of its answer would have said."""
    return {"error": error.message, "code": error.code, **error.extra}


def result_of(call: ModelCall, completion: Completion, *, latency_ms: int) -> dict[str, Any]:
    """A call's result as answers and traces have it."""
    usage = completion.usage
    cost = cost_of(provider=call.provider.name, model=completion.model, usage=usage)
    return {
        "provider": call.provider.name,
        "model": completion.model,
        "output": completion.output,
        "prompt_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "tokens_estimated": usage.estimated,
        "cost_usd": None if cost is None else float(cost),
        "latency_ms": latency_ms,
        "finish_reason": completion.finish_reason,
    }


def _open(actor: Actor, plans: Sequence[Plan]) -> list[_Attempt]:
    client.warm_up()  # before the clock starts
    return [
        _Attempt(
            plan,
            runs.start(
                actor=actor,
                source=plan.subject.source,
                workspace_id=plan.subject.workspace_id,
                ref_id=plan.subject.ref_id,
                ref_key=plan.subject.ref_key,
                prompt_id=plan.subject.prompt_id,
                environment=plan.subject.environment,
                version=plan.subject.version,
                variant=plan.subject.variant,
                provider=plan.call.provider.name,
                model=plan.call.model,
            ),
        )
        for plan in plans
    ]


def _close(attempt: _Attempt, outcome: Completion | Exception) -> dict[str, Any] | DomainError:
    """Close the run with what came of it; its answer, or its error. What nobody foresaw is raised on."""
    plan, opened, attempt.closed = attempt.plan, attempt.run, True
    if isinstance(outcome, DomainError):
        runs.fail(opened, outcome.message, prompt=plan.rendered.text)
        outcome.extra.update(rendered=plan.rendered.text, run_id=str(opened.id))
        return outcome
    if isinstance(outcome, Exception):
        runs.fail(opened, f"internal error: {type(outcome).__name__}")
        raise outcome
    usage = outcome.usage
    runs.finish(
        opened,
        provider=plan.call.provider.name,
        model=outcome.model,
        prompt_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        estimated=usage.estimated,
        cost_usd=cost_of(provider=plan.call.provider.name, model=outcome.model, usage=usage),
        prompt=plan.rendered.text,
        output=outcome.output,
    )
    return {
        "rendered": plan.rendered.text,
        "missing": plan.rendered.missing,
        "result": result_of(plan.call, outcome, latency_ms=opened.elapsed_ms),
        "run_id": str(opened.id),
    }


def _give_up(attempts: Sequence[_Attempt], why: str) -> None:
    for attempt in attempts:
        if not attempt.closed:
            attempt.closed = True
            runs.fail(attempt.run, why)


def _let_go() -> None:
    """Give the connection back before a wait, unless a transaction is open on it."""
    if not connection.in_atomic_block:
        connection.close()


async def _complete_each(attempts: Sequence[_Attempt]) -> list[Completion | Exception]:
    async def one(attempt: _Attempt) -> Completion | Exception:
        try:
            return await client.complete(attempt.plan.call)
        except Exception as error:
            return error
        finally:
            attempt.run.stop()

    return await asyncio.gather(*(one(attempt) for attempt in attempts))


async def _stream_each(attempts: Sequence[_Attempt]) -> AsyncIterator[tuple[int, str | Completion | Exception]]:
    """What each of the calls makes, as it comes, with the call's number; its last item is a completion or an error."""
    made: asyncio.Queue[tuple[int, str | Completion | Exception]] = asyncio.Queue()

    async def one(number: int, attempt: _Attempt) -> None:
        try:
            async for item in client.stream(attempt.plan.call):
                if not isinstance(item, str):
                    attempt.run.stop()
                made.put_nowait((number, item))
        except Exception as error:
            attempt.run.stop()
            made.put_nowait((number, error))

    async with asyncio.TaskGroup() as group:
        for number, attempt in enumerate(attempts):
            group.create_task(one(number, attempt))
        going = len(attempts)
        while going:
            item = await made.get()
            going -= not isinstance(item[1], str)
            yield item
