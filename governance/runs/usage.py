"""What calls of models used: tokens and cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """The tokens and the cost of one call of a model, or of several together (`a + b`, `TokenUsage.total`).

    `cached_tokens` are those of the prompt that the provider had in its cache; None when it did not say. `estimated` is
    true when the provider did not count, so that the numbers are a guess. `cost_usd` is in US dollars; None when the
    price of one of the calls is not known.
    """

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    estimated: bool = False
    cost_usd: Decimal | None = None

    @classmethod
    def total(cls, usages: Iterable["TokenUsage"]) -> "TokenUsage | None":
        """All of them together; None when there are none."""
        total: TokenUsage | None = None
        for usage in usages:
            total = usage if total is None else total + usage
        return total

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def cost_in_json(self) -> float | None:
        """The cost as answers and traces have it."""
        return None if self.cost_usd is None else float(self.cost_usd)

    @property
    def fields(self) -> dict[str, Any]:
        """The values by the names of the run log's columns."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "tokens_estimated": self.estimated,
            "cost_usd": self.cost_usd,
        }

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        cached = [usage.cached_tokens for usage in (self, other) if usage.cached_tokens is not None]
        cost = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd
        return TokenUsage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=sum(cached) if cached else None,
            estimated=self.estimated or other.estimated,
            cost_usd=cost,
        )
