"""Which unit gets which variant, exactly as the server has it (wire contract, section 4). Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import mmh3

from promptops_client._models import Prompt

BUCKETS = 100_000


def bucket_of(seed: str, unit: str) -> int:
    """The unit's bucket, 0 to 99,999. It does not depend on the weight."""
    return (mmh3.hash(f"{seed}:{unit}".encode(), 0, signed=False) * BUCKETS) >> 32


@dataclass(frozen=True, slots=True)
class Rollout:
    """A prompt while two of its versions are served. `base` is its live version, `weight_a` a percentage."""

    base: Prompt
    a: Prompt
    b: Prompt
    seed: str
    weight_a: float
    threshold: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        rollout = document["rollout"]
        variants, weight = rollout["variants"], rollout["weight_a"]
        a, b = Prompt.of(variants["A"], "A"), Prompt.of(variants["B"], "B")
        return cls(Prompt.of(document), a, b, rollout["seed"], weight, round(weight * 1000))

    def pick(self, unit: str | None) -> Prompt:
        """The variant of `unit`, sticky; without one, a draw by weight."""
        bucket = bucket_of(self.seed, unit) if unit is not None else random.random() * BUCKETS  # noqa: S311  # a draw, no secret
        return self.a if bucket < self.threshold else self.b

    def document(self) -> dict[str, Any]:
        """As the server sends it."""
        variants = {"A": self.a.document(), "B": self.b.document()}
        rollout = {"seed": self.seed, "weight_a": self.weight_a, "variants": variants}
        return {**self.base.document(), "rollout": rollout}
