"""Runs of prompts and agents while they are under way: opened before their calls, and closed whatever comes of them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.providers.protocol import Completion, ModelCall
from agents.runtime import sessions
from agents.runtime.budget import Budget, Limits
from agents.runtime.loop import Done, Task
from governance.access.actors import Actor
from governance.core.db import AWAY, later
from governance.core.errors import DomainError
from governance.runs import log
from governance.runs.log import OpenRun
from prompts.content.rendering import Rendered

#: The answer of a run that went well, as the contract has it (section 7).
RunAnswer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is run, as the run log names it. `parent_id` is the run that this one is a part of."""

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
    """A run that is to be made: of what, with which text, by which call.

    - `task` is what an agent has to do beyond that one call; without one there is just the call.
    - `session_id` names the conversation that the run is a turn of, `unit` is what rollouts are decided by.
    - `depth` counts the agents and workflows above it; `parent_budget` is that of the agent that called it.
    - `is_confined`: what it calls sees the environment of its subject and no other.
    """

    subject: Subject
    rendered: Rendered
    call: ModelCall
    task: Task | None = None
    session_id: str | None = None
    unit: str | None = None
    depth: int = 0
    parent_budget: Budget | None = None
    is_confined: bool = False


@dataclass(slots=True)
class Invocation:
    """A run under way. `turn` is its turn of a conversation, if it is one."""

    actor: Actor
    plan: Plan
    run: OpenRun
    budget: Budget
    turn: sessions.Turn | None = None
    is_closed: bool = False


def open_all(actor: Actor, plans: Sequence[Plan], *, warm_up: bool = True) -> list[Invocation]:
    """Open a run for each plan; when one can't be opened, the others are closed.

    `warm_up` loads what the first call needs, so that it does not count as the run's time; without it the caller does.
    Raises ConflictError for a session that has another turn under way.
    """
    if warm_up:
        warm_up_for(plans)
    invocations: list[Invocation] = []
    try:
        invocations.extend(_opened(actor, plan) for plan in plans)
    except BaseException as error:
        give_up(invocations, f"internal error: {type(error).__name__}")
        raise
    return invocations


def warm_up_for(plans: Sequence[Plan]) -> None:
    """Load what the first calls of these plans would have to load. Blocking."""
    for plan in plans:
        plan.call.provider.client.warm_up()


def _opened(actor: Actor, plan: Plan) -> Invocation:
    subject = plan.subject
    turn = None
    if plan.session_id is not None and subject.ref_id is not None:
        turn = sessions.begin(actor=actor, agent_id=subject.ref_id, session_id=plan.session_id)
    try:
        run = log.start(
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
    return Invocation(actor, plan, run, Budget(limits=limits, parent=plan.parent_budget), turn)


def close(invocation: Invocation, outcome: Done | Exception) -> RunAnswer | DomainError:
    """Close the run with its outcome; returns its answer or its error.

    An error that is no DomainError is raised. So is the error that the database is away; the run is closed in the same
    way when it is back.
    """
    invocation.is_closed = True
    try:
        answer = _closed(invocation, outcome)
    except AWAY:
        later(_closed, invocation, outcome)
        raise
    if isinstance(answer, Exception) and not isinstance(answer, DomainError):
        raise answer
    return answer


def _closed(invocation: Invocation, outcome: Done | Exception) -> RunAnswer | Exception:
    if isinstance(outcome, DomainError):
        return _failed(invocation, outcome)
    if isinstance(outcome, Exception):
        _end_turn(invocation)
        log.fail(invocation.run, f"internal error: {type(outcome).__name__}", usage=invocation.budget.usage)
        return outcome
    return _finished(invocation, outcome)


def _failed(invocation: Invocation, error: DomainError) -> DomainError:
    text, budget = invocation.plan.rendered.text, invocation.budget
    _end_turn(invocation)
    log.fail(invocation.run, error.message, prompt=text, output=error.extra.get("output"), usage=budget.usage)
    error.extra.update(rendered=text, run_id=str(invocation.run.id))
    if budget.turns:
        error.extra["turns"] = budget.turns
    return error


def _finished(invocation: Invocation, done: Done) -> RunAnswer:
    plan, run, budget = invocation.plan, invocation.run, invocation.budget
    completion = replace(done.completion, usage=budget.usage or done.completion.usage)
    run.stop()
    _end_turn(invocation, answered=completion.output)
    log.finish(
        run,
        provider=plan.call.provider.name,
        model=completion.model,
        usage=completion.usage,
        prompt=plan.rendered.text,
        output=completion.output,
    )
    result = _result(plan.call, completion, latency_ms=run.elapsed_ms)
    answer: RunAnswer = {
        "rendered": plan.rendered.text,
        "missing": plan.rendered.missing,
        "unused": plan.rendered.unused,
        "result": result,
        "run_id": str(run.id),
    }
    if plan.task is not None:
        answer["turns"] = budget.turns
        if plan.task.schema is not None:
            result["parsed"] = done.parsed
    if invocation.turn is not None:
        answer["session_id"] = invocation.turn.session_id
    return answer


def _end_turn(invocation: Invocation, *, answered: str | None = None) -> None:
    turn = invocation.turn
    if turn is None:
        return
    if answered is None:
        sessions.release(turn)
    else:
        question = invocation.plan.rendered.text
        sessions.remember(turn, question=question, answer=answered, run_id=invocation.run.id)


def give_up(invocations: Sequence[Invocation], reason: str) -> None:
    """Close those that are still open as failed; while the database is away, when it is back."""
    for invocation in invocations:
        if not invocation.is_closed:
            invocation.is_closed = True
            try:
                _given_up(invocation, reason)
            except AWAY:
                later(_given_up, invocation, reason)


def _given_up(invocation: Invocation, reason: str) -> None:
    log.fail(invocation.run, reason, usage=invocation.budget.usage)
    _end_turn(invocation)


def _result(call: ModelCall, completion: Completion, *, latency_ms: int) -> dict[str, Any]:
    usage = completion.usage
    optional: Mapping[str, Any] = {
        "refusal": completion.refusal,
        "reasoning": completion.reasoning,
        "unsent": list(call.unsent),
    }
    return {
        "provider": call.provider.name,
        "model": completion.model,
        "output": completion.output,
        **usage.fields,
        "cost_usd": usage.cost_in_json,
        "latency_ms": latency_ms,
        "finish_reason": completion.finish_reason,
        **{name: value for name, value in optional.items() if value},
    }
