"""What a run of an agent may use, and what it has used."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from governance.core.errors import DomainError
from governance.runs.usage import TokenUsage


class LimitReachedError(DomainError):
    """An agent was not done within what it may use."""

    status = 502
    code = "limit_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of an agent may use, including the agents that it calls. None is no limit.

    They are checked before each call of a model, so that the call which goes beyond is the last. An unknown price
    counts as nothing, so that `max_cost_usd` limits models with a known price only.
    """

    max_turns: int = 8
    max_tokens: int | None = None
    max_cost_usd: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class Budget:
    """The limits of a run and what it has used of them.

    `usages` has one entry for each of its own calls of a model, and `turns` their trace. `total_tokens` and
    `total_cost_usd` include the agents that it called; those have budgets of their own, with this one as `parent`.
    """

    limits: Limits
    parent: "Budget | None" = None
    turns: list[dict[str, Any]] = field(default_factory=list)
    usages: list[TokenUsage] = field(default_factory=list)
    total_tokens: int = 0
    total_cost_usd: Decimal = Decimal(0)

    @property
    def usage(self) -> TokenUsage | None:
        """What this run used itself; None when it has called no model."""
        return TokenUsage.total(self.usages)

    def add(self, usage: TokenUsage) -> None:
        """Count another call of a model."""
        self.usages.append(usage)
        budget: Budget | None = self
        while budget is not None:
            budget.total_tokens += usage.total_tokens
            budget.total_cost_usd += usage.cost_usd or 0
            budget = budget.parent

    def require_more(self) -> None:
        """Raise LimitReachedError unless another call of a model may be made."""
        if len(self.usages) >= self.limits.max_turns:
            raise LimitReachedError(f"max_turns: the agent was not done after {len(self.usages)} turns")
        budget: Budget | None = self
        while budget is not None:
            limits = budget.limits
            if limits.max_tokens is not None and budget.total_tokens >= limits.max_tokens:
                raise LimitReachedError(f"max_tokens: the agent was not done after {budget.total_tokens} tokens")
            if limits.max_cost_usd is not None and budget.total_cost_usd >= limits.max_cost_usd:
                cost = f"{budget.total_cost_usd:f}"
                raise LimitReachedError(f"max_cost_usd: the agent was not done after {cost} US dollars")
            budget = budget.parent
