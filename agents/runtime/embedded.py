"""Agents that run as a part of something else: as a step of a workflow, or as a tool of another agent.

All of it runs on the event loop of model calls (agents.transport.bridge); its database work goes to the thread that
waits in `bridge.run`.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.models import Agent
from agents.runtime import execution, plans
from agents.runtime.invocations import Plan, RunAnswer
from agents.runtime.model_calls import Emit
from agents.runtime.plans import RunRequest
from agents.runtime.toolbox import MAX_DEPTH, Caller, ToolFailedError
from agents.transport import bridge
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.core.db import briefly
from governance.core.errors import ConflictError


async def run_agent(
    *,
    actor: Actor,
    workspace_id: str,
    key: str,
    env: str | None = None,
    variables: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    unit: str | None = None,
    strict: bool = False,
    session_id: str | None = None,
    parent_id: uuid.UUID | None = None,
    depth: int = 0,
    emit: Emit | None = None,
) -> RunAnswer:
    """Run the agent of that key, if `actor` can see it; the answer is the contract's (section 7), `turns` included.

    `env`: only one of that environment. `parent_id` is the run that this one is a part of, `depth` how many agents and
    workflows there are above it. `emit` gets the run's events. Raises ConflictError when there is no such agent,
    ToolFailedError beyond MAX_DEPTH, and what a run raises, with `rendered`, `run_id` and `turns` in the error's
    `extra`. A cancelled task closes the run as failed.
    """

    def plan() -> Plan:
        found = Agent.objects.select_related("environment").filter(workspace_id=workspace_id, key=key)
        agent = visible_to(actor, found.filter(environment__name=env) if env else found).first()
        if agent is None:
            raise ConflictError(f"there is no agent {key}{f' in {env}' if env else ''}")
        return plans.plan_of_agent(agent, request, actor=actor)

    _require_depth(depth)
    request = RunRequest(variables=variables, config=config or {}, unit=unit, strict=strict, session_id=session_id)
    planned = await bridge.on_caller(briefly, plan)
    planned = replace(planned, depth=depth, subject=replace(planned.subject, parent_id=parent_id))
    return await execution.run_here(actor=actor, plan=planned, emit=emit)


async def run_as_tool(agent: Agent, *, variables: Mapping[str, Any], caller: Caller) -> RunAnswer:
    """Run an agent as a tool in another agent's run; what it uses counts for the limits of that one too."""
    _require_depth(caller.depth)

    def plan() -> Plan:
        return plans.plan_of_agent(agent, RunRequest(variables=variables, unit=caller.unit), actor=caller.actor)

    planned = await bridge.on_caller(briefly, plan)
    subject = replace(planned.subject, parent_id=caller.run_id)
    planned = replace(planned, depth=caller.depth, subject=subject, parent_budget=caller.budget)
    return await execution.run_here(actor=caller.actor, plan=planned)


def _require_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ToolFailedError(f"agents and workflows call each other {MAX_DEPTH} deep at most")
