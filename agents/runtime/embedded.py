"""Agents that run inside something else: a step of a workflow, or a tool of another agent.

All of it works on the loop of model calls (agents.transport.bridge), and brings its database work to the thread that
waits in `bridge.run`.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.models import Agent
from agents.runtime import execution, plans
from agents.runtime.invocations import Plan
from agents.runtime.loop import Tell
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
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Run the agent of that key, if `actor` can see it; the answer is the contract's (section 7), `turns` included.

    `env`: only one that lives there. `parent_id` is the run that this one is a part of, `depth` how many agents and
    workflows are at work above it. Raises ConflictError when there is no such agent, ToolFailedError beyond MAX_DEPTH,
    and what a run raises, with `rendered`, `run_id` and `turns` in the error's `extra`. A cancelled task closes the
    run as failed.
    """

    def plan() -> Plan:
        found = Agent.objects.select_related("environment").filter(workspace_id=workspace_id, key=key)
        agent = visible_to(actor, found.filter(environment__name=env) if env else found).first()
        if agent is None:
            raise ConflictError(f"there is no agent {key}{f' in {env}' if env else ''}")
        return _plan(
            agent, actor, variables=variables, config=config or {}, unit=unit, strict=strict, session_id=session_id
        )

    _require_depth(depth)
    made = await bridge.on_caller(briefly, plan)
    made = replace(made, depth=depth, subject=replace(made.subject, parent_id=parent_id))
    return await execution.run_here(actor=actor, plan=made, tell=tell)


async def run_found(agent: Agent, *, variables: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """Run an agent as a tool of another one's run; what it uses counts towards the limits of that one too."""
    _require_depth(caller.depth)

    def plan() -> Plan:
        return _plan(agent, caller.actor, variables=variables, config={}, unit=caller.unit, strict=False)

    made = await bridge.on_caller(briefly, plan)
    subject = replace(made.subject, parent_id=caller.run_id)
    made = replace(made, depth=caller.depth, subject=subject, above=caller.meter)
    return await execution.run_here(actor=caller.actor, plan=made)


def _require_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ToolFailedError(f"agents and workflows call each other {MAX_DEPTH} deep at most")


def _plan(
    agent: Agent,
    actor: Actor,
    *,
    variables: Mapping[str, Any],
    config: Mapping[str, Any],
    unit: str | None,
    strict: bool,
    session_id: str | None = None,
) -> Plan:
    wishes = {"variables": variables, "config": config, "unit": unit, "strict": strict, "session_id": session_id}
    return plans.plan_of_agent(agent, wishes, actor=actor)
