"""Model calls as runs: opened before the call, closed whatever happens, with no database connection held meanwhile."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from agents import loop, sessions
from agents.loop import Done, Task, Tell
from agents.pricing import cost_of
from agents.providers import bridge, client
from agents.providers.base import Completion, ModelCall
from agents.toolbox import Caller, Limits, Meter
from governance import runs
from governance.actors import Actor
from governance.db import briefly, let_go, on_thread
from governance.errors import DomainError, InvalidInputError, ProviderTimeoutError
from governance.runs import OpenRun
from prompts.rendering import Rendered, TooLongError, render

CLIENT_GONE = "the client went away before the end"
STOPPED = "it was stopped before the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a run is of, as the run log names it. `parent_id` is the run that it is a part of."""

    source: str
    workspace_id: str
    parent_id: uuid.UUID | None = None
    ref_id: uuid.UUID | None = None
    ref_key: str = ""
    prompt_id: uuid.UUID | None = None
    environment: str = ""
    version: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run to be made: of what, with which text, by which call.

    `task` is what an agent has to do beyond that one call; without one there is just the call. `session_id` names the
    conversation that it is a turn of. `depth` counts the agents and workflows at work above it, and `above` measures
    what the one that called it may use.
    """

    subject: Subject
    rendered: Rendered
    call: ModelCall
    task: Task | None = None
    session_id: str | None = None
    unit: str | None = None
    depth: int = 0
    above: Meter | None = None


@dataclass(slots=True)
class _Attempt:
    actor: Actor
    plan: Plan
    run: OpenRun
    meter: Meter
    turn: sessions.Turn | None = None
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
    let_go()
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
        let_go()
        outcomes = bridge.run(_complete_each, attempts)
        return [_close(attempt, outcome) for attempt, outcome in zip(attempts, outcomes, strict=True)]
    except BaseException as error:
        _give_up(attempts, f"internal error: {type(error).__name__}")
        raise


async def run_here(*, actor: Actor, plan: Plan, tell: Tell | None = None) -> dict[str, Any]:
    """The same as `run`, for who is on the loop of model calls already; database work goes to the caller's thread.

    `tell` is told of what happens as it happens. When the task is cancelled, so is the run: it is closed as failed.
    """
    opening = asyncio.ensure_future(bridge.on_caller(briefly, _open, actor, [plan]))
    try:
        [attempt] = await asyncio.shield(opening)
    except asyncio.CancelledError:
        [attempt] = await opening
        await _give_up_from_here(attempt, STOPPED)
        raise
    try:
        outcome = await _perform(attempt, tell)
        answer: dict[str, Any] | DomainError = await bridge.on_caller(briefly, _close, attempt, outcome)
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

    The first event is waited for where it is made, so that a run which fails at once raises its ProviderError. Events
    are (name, data); those of a single run don't name a variant, and there is no `variant` event.
    """

    def __init__(self, *, actor: Actor, plans: Sequence[Plan], single: bool) -> None:
        self._single = single
        self._answers: list[dict[str, Any] | None] = [None] * len(plans)
        self._attempts = _open(actor, plans)
        self._flow = bridge.Flow(lambda: _stream_each(self._attempts))
        try:
            let_go()
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
                if isinstance(item, _Event):
                    yield item.name, {**which, **item.data}
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
    cost = cost_of(provider=call.provider.name, model=completion.model, usage=completion.usage)
    return _result(call, completion, cost, latency_ms=latency_ms)


def _result(call: ModelCall, completion: Completion, cost: Decimal | None, *, latency_ms: int) -> dict[str, Any]:
    usage = completion.usage
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
    attempts: list[_Attempt] = []
    try:
        attempts.extend(_opened(actor, plan) for plan in plans)
    except BaseException as error:
        _give_up(attempts, f"internal error: {type(error).__name__}")
        raise
    return attempts


def _opened(actor: Actor, plan: Plan) -> _Attempt:
    subject = plan.subject
    turn = None
    if plan.session_id is not None and subject.ref_id is not None:
        turn = sessions.begin(actor=actor, agent_id=subject.ref_id, session_id=plan.session_id)
    try:
        opened = runs.start(
            actor=actor,
            source=subject.source,
            workspace_id=subject.workspace_id,
            ref_id=subject.ref_id,
            ref_key=subject.ref_key,
            prompt_id=subject.prompt_id,
            parent_id=subject.parent_id,
            environment=subject.environment,
            version=subject.version,
            variant=subject.variant,
            provider=plan.call.provider.name,
            model=plan.call.model,
        )
    except BaseException:
        if turn is not None:
            sessions.release(turn)
        raise
    limits = plan.task.limits if plan.task else Limits()
    return _Attempt(actor, plan, opened, Meter(limits=limits, above=plan.above), turn)


def _close(attempt: _Attempt, outcome: Done | Exception) -> dict[str, Any] | DomainError:
    """Close the run with what came of it; its answer, or its error. What nobody foresaw is raised on."""
    plan, opened, attempt.closed = attempt.plan, attempt.run, True
    if isinstance(outcome, Exception):
        _end_turn(attempt)
        if not isinstance(outcome, DomainError):
            runs.fail(opened, f"internal error: {type(outcome).__name__}", **_used(attempt))
            raise outcome
        runs.fail(opened, outcome.message, prompt=plan.rendered.text, **_used(attempt))
        outcome.extra.update(rendered=plan.rendered.text, run_id=str(opened.id))
        if attempt.meter.turns:
            outcome.extra["turns"] = attempt.meter.turns
        return outcome
    completion = replace(outcome.completion, usage=attempt.meter.usage)
    opened.stop()
    _end_turn(attempt, answered=completion.output)
    runs.finish(
        opened,
        provider=plan.call.provider.name,
        model=completion.model,
        prompt=plan.rendered.text,
        output=completion.output,
        prompt_tokens=completion.usage.prompt_tokens,
        output_tokens=completion.usage.output_tokens,
        cached_tokens=completion.usage.cached_tokens,
        estimated=completion.usage.estimated,
        cost_usd=attempt.meter.cost,
    )
    result = _result(plan.call, completion, attempt.meter.cost, latency_ms=opened.elapsed_ms)
    answer: dict[str, Any] = {
        "rendered": plan.rendered.text,
        "missing": plan.rendered.missing,
        "result": result,
        "run_id": str(opened.id),
    }
    if plan.task is not None:
        answer["turns"] = attempt.meter.turns
        if plan.task.schema is not None:
            result["parsed"] = outcome.parsed
    if attempt.turn is not None:
        answer["session_id"] = attempt.turn.session_id
    return answer


def _used(attempt: _Attempt) -> dict[str, Any]:
    """What the run log is told of the calls that were made before it failed."""
    if not attempt.meter.usages:
        return {}
    usage = attempt.meter.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "tokens_estimated": usage.estimated,
        "cost_usd": attempt.meter.cost,
    }


def _end_turn(attempt: _Attempt, *, answered: str | None = None) -> None:
    if attempt.turn is None:
        return
    if answered is None:
        sessions.release(attempt.turn)
    else:
        sessions.remember(attempt.turn, asked=attempt.plan.rendered.text, answered=answered, run_id=attempt.run.id)


def _give_up(attempts: Sequence[_Attempt], why: str) -> None:
    for attempt in attempts:
        if not attempt.closed:
            attempt.closed = True
            runs.fail(attempt.run, why, **_used(attempt))
            _end_turn(attempt)


async def _give_up_from_here(attempt: _Attempt, why: str) -> None:
    try:
        await bridge.on_caller(briefly, _give_up, [attempt], why)
    except RuntimeError:  # nobody waits any more where this would be done
        await asyncio.to_thread(briefly, _give_up, [attempt], why)


async def _perform(attempt: _Attempt, tell: Tell | None) -> Done | Exception:
    """Make the run's calls. What goes wrong is what it returns, so that others beside it go on."""
    try:
        return await _done(attempt, tell)
    except Exception as error:
        return error
    finally:
        attempt.run.stop()


async def _done(attempt: _Attempt, tell: Tell | None) -> Done:
    plan, turn = attempt.plan, attempt.turn
    if plan.task is None and turn is None and tell is None:
        return _measured(attempt, await client.complete(plan.call))
    if plan.task is None and turn is None:
        assert tell is not None  # noqa: S101  # the case above
        async for item in client.stream(plan.call):
            if not isinstance(item, str):
                return _measured(attempt, item)
            tell("delta", {"text": item})
    caller = Caller(
        actor=attempt.actor,
        workspace_id=plan.subject.workspace_id,
        environment=plan.subject.environment,
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


def _measured(attempt: _Attempt, completion: Completion) -> Done:
    cost = cost_of(provider=attempt.plan.call.provider.name, model=completion.model, usage=completion.usage)
    attempt.meter.add(completion.usage, cost)
    return Done(completion=completion)


async def _complete_each(attempts: Sequence[_Attempt]) -> list[Done | Exception]:
    return await asyncio.gather(*(_perform(attempt, None) for attempt in attempts))


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    data: dict[str, Any]


_Item = str | _Event | Done | Exception


async def _stream_each(attempts: Sequence[_Attempt]) -> AsyncIterator[tuple[int, _Item]]:
    """What each of the runs makes, as it comes, with its number; its last item is what was done, or an error."""
    made: asyncio.Queue[tuple[int, _Item]] = asyncio.Queue()

    async def one(number: int, attempt: _Attempt) -> None:
        def tell(name: str, data: dict[str, Any]) -> None:
            made.put_nowait((number, data["text"] if name == "delta" else _Event(name, data)))

        made.put_nowait((number, await _perform(attempt, tell)))

    async with asyncio.TaskGroup() as group:
        for number, attempt in enumerate(attempts):
            group.create_task(one(number, attempt))
        going = len(attempts)
        while going:
            item = await made.get()
            going -= isinstance(item[1], Done | Exception)
            yield item
