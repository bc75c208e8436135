"""What the models of a run used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from workflows.steps.journal import cost_of


@dataclass(slots=True, kw_only=True)
class RunUsage:
    """What models used in a run, or in a part of one: it counts for the part `above` too."""

    above: "RunUsage | None" = None
    provider: str = ""
    model: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    costs: list[Decimal | None] = field(default_factory=list)

    def add(self, trace: Mapping[str, Any]) -> None:
        """Count what a step used, by its trace."""
        if trace.get("prompt_tokens") is None:
            return
        self.provider = trace.get("provider") or self.provider
        self.model = trace.get("model") or self.model
        self.calls += 1
        self.prompt_tokens += trace["prompt_tokens"]
        self.output_tokens += trace.get("output_tokens") or 0
        self.costs.append(cost_of(trace))
        if self.above is not None:
            self.above.add(trace)

    def tried(self, provider: str) -> None:
        """A call of this provider failed."""
        self.provider, self.model = provider, ""
        if self.above is not None:
            self.above.tried(provider)

    @property
    def cost_usd(self) -> Decimal | None:
        """None as soon as the cost of one call is not known."""
        known = [cost for cost in self.costs if cost is not None]
        return sum(known, Decimal(0)) if known and len(known) == len(self.costs) else None

    @property
    def for_log(self) -> dict[str, Any]:
        """The same for the run log: tokens and cost in all, and the last provider and model."""
        return {
            "provider": self.provider,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens if self.calls else None,
            "output_tokens": self.output_tokens if self.calls else None,
            "cost_usd": self.cost_usd,
        }

    @property
    def trace(self) -> dict[str, Any]:
        """The same for the trace of a step that holds others."""
        if not self.calls:
            return {}
        cost = self.cost_usd
        return {
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if cost is None else float(cost),
        }
