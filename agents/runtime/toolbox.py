"""The tools of agents: the registry of their kinds, and what a tool is when an agent runs.

An agent stores a tool as its description, {"type": the kind, ...}. When the agent runs, the kind turns the description
into a Tool for the actor who runs it: what the actor can't see, the tool does not find.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.runtime.budget import Budget
from governance.access.actors import Actor
from governance.api.fields import PatternField, StringField
from governance.api.serializers import ApiSerializer
from governance.core import registry
from governance.core.errors import DomainError

MAX_TOOLS = 32
#: How many agents and workflows may call each other, one inside the other.
MAX_DEPTH = 4
#: Characters of a tool's output that a model is sent.
MAX_OUTPUT = 20_000

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}\Z"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")

Description = Mapping[str, Any]


class ToolFailedError(DomainError):
    """A tool can't do what it was asked to. The model gets the message, and may try something else."""

    status = 502
    code = "tool_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls a tool, and in which run.

    `environment` is the name of the agent's environment. `depth` counts the agents and workflows above the tool,
    including the one that calls it. `budget` is that of the run, `unit` what rollouts are decided by.
    """

    actor: Actor
    workspace_id: str
    environment: str
    run_id: uuid.UUID
    depth: int
    budget: Budget
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The output of a tool. `run_id` is the call's own run in the run log, if it has one."""

    output: str
    run_id: uuid.UUID | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that can be called. `parameters` is the JSON Schema of its arguments.

    `run` works on the event loop of model calls (agents.transport.bridge). It raises a DomainError whose message is
    sent to the model; `run_id` in its `extra` names the failed run.
    """

    kind: str
    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[Mapping[str, Any], Caller], Awaitable[Returned]]


class ToolSerializer(ApiSerializer):
    """The fields of every description of a tool."""

    type = StringField(max_length=50)
    name = PatternField(
        NAME_PATTERN,
        expected="letters, digits, _ and - (first a letter or _), at most 64",
        required=False,
        help_text="What the model calls it.",
    )
    description = StringField(required=False, allow_blank=True, max_length=2000)


def _unchanged(description: Description, stored: Description | None = None) -> dict[str, Any]:
    return dict(description)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolKind(registry.Entry):
    """A kind of tools.

    - `fields` checks a description when its agent is saved.
    - `find` turns a description into a tool, for an actor and the agent's workspace and environment. It may use the
      database. It raises ConflictError when what the tool calls is not there.
    - `to_store` turns a description as it was sent into what is stored, with the stored one of the same name beside
      it; `to_show` turns a stored one into what people see. Secrets are between the two.
    - `summary` says for people what a tool of this kind calls.
    """

    name: str
    fields: type[ToolSerializer]
    find: Callable[[Description, Actor, str, str], Tool]
    to_store: Callable[[Description, Description | None], dict[str, Any]] = _unchanged
    to_show: Callable[[Description], dict[str, Any]] = _unchanged
    summary: str = ""


def kinds() -> dict[str, ToolKind]:
    """The registered kinds of tools by their names."""
    return {kind.name: kind for kind in registry.entries(ToolKind)}


def name_of(description: Description) -> str:
    """The name by which a model calls the tool: its own, else one made from the key of what it calls."""
    name = _NOT_IN_A_NAME.sub("_", str(description.get("name") or description.get("key") or ""))[:64]
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"[:64]


def find_all(descriptions: Sequence[Description], *, actor: Actor, workspace_id: str, environment: str) -> list[Tool]:
    """The tools of these descriptions, for `actor`. Raises ConflictError for one that calls what is not there."""
    known = kinds()
    return [known[one["type"]].find(one, actor, workspace_id, environment) for one in descriptions]


def to_show(descriptions: Sequence[Description]) -> list[dict[str, Any]]:
    """Stored descriptions as people see them, without secrets."""
    known = kinds()
    return [known[one["type"]].to_show(one) if one["type"] in known else {"type": one["type"]} for one in descriptions]


def to_store(sent: Sequence[Description], stored: Sequence[Description]) -> list[dict[str, Any]]:
    """What is stored for the descriptions that were sent, in place of those that are stored."""
    former = {(one["type"], name_of(one)): one for one in stored}
    known = kinds()
    return [known[one["type"]].to_store(one, former.get((one["type"], name_of(one)))) for one in sent]
