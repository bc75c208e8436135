"""Runs under way: opened before their calls, with their turn in a conversation, and closed whatever comes of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from agents.providers import openai_compatible
from agents.providers.protocol import Completion, ModelCall
from agents.runtime import sessions
from agents.runtime.loop import Done, Task
from agents.runtime.toolbox import Limits, Meter
from governance.access.actors import Actor
from governance.core.db import AWAY, later
from governance.core.errors import DomainError
from governance.runs import log
from governance.runs.log import OpenRun
from prompts.content.rendering import Rendered


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
    what the one that called it may use. `confined`: what it calls sees the environment of its subject and no other.
    """

    subject: Subject
    rendered: Rendered
    call: ModelCall
    task: Task | None = None
    session_id: str | None = None
    unit: str | None = None
    depth: int = 0
    above: Meter | None = None
    confined: bool = False


@dataclass(slots=True)
class Attempt:
    actor: Actor
    plan: Plan
    run: OpenRun
    meter: Meter
    turn: sessions.Turn | None = None
    closed: bool = False


def open_all(actor: Actor, plans: Sequence[Plan], *, at_once: bool = False) -> list[Attempt]:
    """Open a run for each; when one can't be, the others are closed. Raises ConflictError for a session at work.

    `at_once` leaves what a process has to load for its first call to the caller.
    """
    if not at_once:
        openai_compatible.warm_up()  # before the clock starts
    attempts: list[Attempt] = []
    try:
        attempts.extend(_opened(actor, plan) for plan in plans)
    except BaseException as error:
        give_up(attempts, f"internal error: {type(error).__name__}")
        raise
    return attempts


def _opened(actor: Actor, plan: Plan) -> Attempt:
    subject = plan.subject
    turn = None
    if plan.session_id is not None and subject.ref_id is not None:
        turn = sessions.begin(actor=actor, agent_id=subject.ref_id, session_id=plan.session_id)
    try:
        opened = log.start(
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
    return Attempt(actor, plan, opened, Meter(limits=limits, above=plan.above), turn)


def close(attempt: Attempt, outcome: Done | Exception) -> dict[str, Any] | DomainError:
    """Close the run with what came of it; its answer, or its error. What nobody foresaw is raised on, and that the
    database is away: then the run is closed in the same way when it is back."""
    attempt.closed = True
    try:
        answer = _closed(attempt, outcome)
    except AWAY:
        later(_closed, attempt, outcome)
        raise
    if isinstance(answer, Exception) and not isinstance(answer, DomainError):
        raise answer
    return answer


def _closed(attempt: Attempt, outcome: Done | Exception) -> dict[str, Any] | Exception:
    plan, opened = attempt.plan, attempt.run
    if isinstance(outcome, Exception):
        _end_turn(attempt)
        if not isinstance(outcome, DomainError):
            log.fail(opened, f"internal error: {type(outcome).__name__}", **_used(attempt))
            return outcome
        half = outcome.extra.get("output")
        log.fail(opened, outcome.message, prompt=plan.rendered.text, output=half, **_used(attempt))
        outcome.extra.update(rendered=plan.rendered.text, run_id=str(opened.id))
        if attempt.meter.turns:
            outcome.extra["turns"] = attempt.meter.turns
        return outcome
    completion = replace(outcome.completion, usage=attempt.meter.usage)
    opened.stop()
    _end_turn(attempt, answered=completion.output)
    log.finish(
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
        "unused": plan.rendered.unused,
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


def _used(attempt: Attempt) -> dict[str, Any]:
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


def _end_turn(attempt: Attempt, *, answered: str | None = None) -> None:
    if attempt.turn is None:
        return
    if answered is None:
        sessions.release(attempt.turn)
    else:
        sessions.remember(attempt.turn, asked=attempt.plan.rendered.text, answered=answered, run_id=attempt.run.id)


def give_up(attempts: Sequence[Attempt], why: str) -> None:
    """Close those as failed that are not closed; while the database is away, when it is back."""
    for attempt in attempts:
        if not attempt.closed:
            attempt.closed = True
            try:
                _given_up(attempt, why)
            except AWAY:
                later(_given_up, attempt, why)


def _given_up(attempt: Attempt, why: str) -> None:
    log.fail(attempt.run, why, **_used(attempt))
    _end_turn(attempt)


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
        **({"refusal": completion.refusal} if completion.refusal else {}),
        **({"reasoning": completion.reasoning} if completion.reasoning else {}),
        **({"unsent": list(call.unsent)} if call.unsent else {}),
    }
