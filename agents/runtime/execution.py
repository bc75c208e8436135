"""Makes runs: opened before the call, closed whatever happens, with no database connection in use meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from agents.runtime.budget import Limits
from agents.runtime.invocations import Invocation, Plan, RunAnswer, close, give_up, open_all
from agents.runtime.loop import Done, Task, run_loop
from agents.runtime.model_calls import Emit, call_model
from agents.runtime.toolbox import Caller
from agents.transport import bridge
from governance.access.actors import Actor
from governance.core.db import briefly, let_go
from governance.core.errors import DomainError, InvalidInputError, ProviderError, ProviderTimeoutError
from governance.runs import slots
from prompts.content.protocol import Content
from prompts.content.rendering import Rendered, TooLongError

STOPPED = "it was stopped before the end"


def render_strictly(content: Content, variables: Mapping[str, Any], *, strict: bool) -> Rendered:
    """Render. Raises InvalidInputError for a text over the limit of a request, and with `strict` for missing values."""
    limit = settings.PROMPTOPS_MAX_BODY_BYTES
    try:
        rendered = content.render(variables, limit=limit)
    except TooLongError:
        raise InvalidInputError.of("variables", f"with them the text would have over {limit} characters") from None
    if strict and rendered.missing:
        names = ", ".join(rendered.missing)
        raise InvalidInputError(f"variables: there is no value for {names}", fields={"variables": rendered.missing})
    return rendered


def run(*, actor: Actor, plan: Plan) -> RunAnswer:
    """Make a run and return its answer.

    Raises ProviderError with `rendered` and `run_id` in its body, so that a failed run can be looked up.
    """
    [outcome] = run_each(actor=actor, plans=[plan])
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def run_each(*, actor: Actor, plans: Sequence[Plan]) -> list[RunAnswer | DomainError]:
    """Make several runs side by side: for each, in order, its answer or its error."""
    with slots.take(actor, len(plans)):
        invocations = open_all(actor, plans)
        try:
            let_go()
            outcomes = bridge.run(_perform_all, invocations)
            return [close(invocation, outcome) for invocation, outcome in zip(invocations, outcomes, strict=True)]
        except BaseException as error:
            give_up(invocations, f"internal error: {type(error).__name__}")
            raise


async def run_here(*, actor: Actor, plan: Plan, emit: Emit | None = None) -> RunAnswer:
    """The same as `run`, for callers on the event loop of model calls; database work goes to the thread that waits.

    `emit` gets the run's events as they happen. When the task is cancelled, the run is closed as failed.
    """
    opening = asyncio.ensure_future(bridge.on_caller(briefly, open_all, actor, [plan]))
    try:
        [invocation] = await asyncio.shield(opening)
    except asyncio.CancelledError:
        [invocation] = await opening
        await bridge.to_the_end(give_up, [invocation], STOPPED)
        raise
    try:
        outcome = await perform(invocation, emit)
        answer: RunAnswer | DomainError = await bridge.on_caller(briefly, close, invocation, outcome)
    except BaseException as error:
        reason = STOPPED if isinstance(error, asyncio.CancelledError) else f"internal error: {type(error).__name__}"
        await asyncio.shield(bridge.to_the_end(give_up, [invocation], reason))
        raise
    if isinstance(answer, DomainError):
        raise answer
    return answer


async def perform(invocation: Invocation, emit: Emit | None) -> Done | Exception:
    """Make the run's calls. An error is returned and not raised, so that the runs beside it go on."""
    try:
        return await _done(invocation, emit)
    except Exception as error:
        return error
    finally:
        invocation.run.stop()


def failure(error: DomainError) -> dict[str, Any]:
    """A failed run among others: what the body of its answer would have been."""
    return {"error": error.message, "code": error.code, **error.extra}


async def _perform_all(invocations: Sequence[Invocation]) -> list[Done | Exception]:
    if len(invocations) == 1:
        return [await perform(invocations[0], None)]
    return await asyncio.gather(*(perform(invocation, None) for invocation in invocations))


async def _done(invocation: Invocation, emit: Emit | None) -> Done:
    plan, turn = invocation.plan, invocation.turn
    if plan.task is None and turn is None:
        return await _one_call(invocation, emit)
    actor, subject = invocation.actor, plan.subject
    caller = Caller(
        actor=actor.within(subject.workspace_id, subject.environment) if plan.is_confined else actor,
        workspace_id=subject.workspace_id,
        environment=subject.environment,
        run_id=invocation.run.id,
        depth=plan.depth + 1,
        budget=invocation.budget,
        unit=plan.unit,
    )
    limit: float = settings.PROMPTOPS_AGENT_TIMEOUT
    try:
        async with asyncio.timeout(limit):
            return await run_loop(
                call=plan.call,
                task=plan.task or Task(limits=Limits()),
                history=turn.history if turn else (),
                caller=caller,
                emit=emit,
            )
    except TimeoutError:
        raise ProviderTimeoutError(f"the agent was not done within {limit:g} seconds") from None


async def _one_call(invocation: Invocation, emit: Emit | None) -> Done:
    call = invocation.plan.call
    completion = await call_model(call, budget=invocation.budget, emit=emit)
    if completion.tool_calls and not completion.output.strip():
        label = call.provider.label
        raise ProviderError(f"{label} said nothing, and wants to call a tool, of which it was offered none")
    return Done(completion=completion)
