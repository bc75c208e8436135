"""What an agent's tools are: their kinds, which the rooms that have something to call register, and a tool at work.

A tool is kept as its description, {"type": the kind, ...}. When its agent runs, the kind makes a Tool of it, for the
one who runs it: what they can't see, the tool does not find.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agents.providers.protocol import Usage
from governance.access.actors import Actor
from governance.api.fields import PatternField, StringField
from governance.api.serializers import ApiSerializer
from governance.core import registry
from governance.core.errors import DomainError

MAX_TOOLS = 32
#: Agents and workflows that call each other, one inside the other.
MAX_DEPTH = 4
#: Characters of a tool's output that a model is told.
MAX_OUTPUT = 20_000

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}\Z"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")

Description = Mapping[str, Any]


class LimitReachedError(DomainError):
    """An agent was not done within what it may use."""

    status = 502
    code = "limit_reached"


class ToolFailedError(DomainError):
    """A tool can't do what it was asked to; the model is told, and may try something else."""

    status = 502
    code = "tool_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of an agent may use, that of the agents it calls included. None is no limit.

    They hold before each call of a model: the one that goes beyond is the last. A price that nobody knows counts as
    none, so that `max_cost_usd` binds models with a known price only.
    """

    max_turns: int = 8
    max_tokens: int | None = None
    max_cost_usd: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class Meter:
    """What a run used: `turns` and `usages` are its own, `tokens` and `spent` hold those of the agents below it too."""

    limits: Limits
    above: "Meter | None" = None
    turns: list[dict[str, Any]] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    costs: list[Decimal | None] = field(default_factory=list)
    tokens: int = 0
    spent: Decimal = Decimal(0)

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        """Another call of a model was made in this run."""
        self.usages.append(usage)
        self.costs.append(cost)
        meter: Meter | None = self
        while meter is not None:
            meter.tokens += usage.prompt_tokens + usage.output_tokens
            meter.spent += cost or 0
            meter = meter.above

    def require_more(self) -> None:
        """Raise LimitReachedError unless another call may be made."""
        if len(self.usages) >= self.limits.max_turns:
            raise LimitReachedError(f"max_turns: the agent was not done after {len(self.usages)} turns")
        meter: Meter | None = self
        while meter is not None:
            limits = meter.limits
            if limits.max_tokens is not None and meter.tokens >= limits.max_tokens:
                raise LimitReachedError(f"max_tokens: the agent was not done after {meter.tokens} tokens")
            if limits.max_cost_usd is not None and meter.spent >= limits.max_cost_usd:
                raise LimitReachedError(f"max_cost_usd: the agent was not done after {meter.spent:f} US dollars")
            meter = meter.above

    @property
    def usage(self) -> Usage:
        """Of this run alone: the agents below it have runs of their own."""
        cached = [usage.cached_tokens for usage in self.usages if usage.cached_tokens is not None]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in self.usages),
            output_tokens=sum(usage.output_tokens for usage in self.usages),
            cached_tokens=sum(cached) if cached else None,
            estimated=any(usage.estimated for usage in self.usages),
        )

    @property
    def cost(self) -> Decimal | None:
        """None as soon as the cost of one call is not known."""
        return None if None in self.costs else sum((cost or Decimal(0) for cost in self.costs), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """For whom a tool works, and in which run.

    `environment` is the name of the one that its agent lives in. `depth` counts the agents and workflows that are at
    work above the tool, its own one included.
    """

    actor: Actor
    workspace_id: str
    environment: str
    run_id: uuid.UUID
    depth: int
    meter: Meter
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a tool made. `run_id` is the run that it was, in the run log."""

    output: str
    run_id: uuid.UUID | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool at hand. `parameters` is the JSON Schema of its arguments.

    `run` works on the loop of model calls (agents.transport.bridge). It raises a DomainError for what the model can be
    told; `run_id` in its `extra` names the failed run.
    """

    kind: str
    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[Mapping[str, Any], Caller], Awaitable[Returned]]


class ToolSerializer(ApiSerializer):
    """The fields that every description of a tool has."""

    type = StringField(max_length=50)
    name = PatternField(
        NAME_PATTERN,
        expected="letters, digits, _ and - (first a letter or _), at most 64",
        required=False,
        help_text="What the model calls it.",
    )
    description = StringField(required=False, allow_blank=True, max_length=2000)


def _as_it_is(description: Description) -> dict[str, Any]:
    return dict(description)


def _given(description: Description, stored: Description | None) -> dict[str, Any]:
    return dict(description)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolKind(registry.Entry):
    """A kind of tools.

    `fields` checks a description when its agent is saved. `find` makes the tool, with database work and on a thread
    where that may be done; it is told the actor and the agent's workspace and environment, and raises ConflictError
    when what the tool calls is not there. `keep` turns a description that was sent into what is stored, told what was
    stored for the tool of that name; `show` turns that into what people see: secrets stay between the two. `summary`
    says for people what it calls.
    """

    name: str
    fields: type[ToolSerializer]
    find: Callable[[Description, Actor, str, str], Tool]
    keep: Callable[[Description, Description | None], dict[str, Any]] = _given
    show: Callable[[Description], dict[str, Any]] = _as_it_is
    summary: str = ""


def kinds() -> dict[str, ToolKind]:
    """The registered kinds of tools by their names."""
    return {kind.name: kind for kind in registry.entries(ToolKind)}


def name_of(description: Description) -> str:
    """What a model calls the tool: its name, else one made of the key of what it calls."""
    made = _NOT_IN_A_NAME.sub("_", str(description.get("name") or description.get("key") or ""))[:64]
    return made if made[:1].isalpha() or made[:1] == "_" else f"_{made}"[:64]


def find_all(descriptions: Sequence[Description], *, actor: Actor, workspace_id: str, environment: str) -> list[Tool]:
    """The tools of these descriptions, for `actor`. Raises ConflictError for one that calls what is not there."""
    known = kinds()
    return [known[one["type"]].find(one, actor, workspace_id, environment) for one in descriptions]


def shown(descriptions: Sequence[Description]) -> list[dict[str, Any]]:
    """Descriptions for people."""
    known = kinds()
    return [known[one["type"]].show(one) if one["type"] in known else {"type": one["type"]} for one in descriptions]


def kept(given: Sequence[Description], stored: Sequence[Description]) -> list[dict[str, Any]]:
    """What is stored for the descriptions that were sent, in place of those that were stored."""
    former = {(one["type"], name_of(one)): one for one in stored}
    known = kinds()
    return [known[one["type"]].keep(one, former.get((one["type"], name_of(one)))) for one in given]
