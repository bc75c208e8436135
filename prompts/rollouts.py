"""Which unit gets which variant. Pure. The SDKs do the same: tests/contract/rollouts.json has the vectors for all.

A unit's bucket is made from the rollout's seed and the unit alone, so it stays where it is when the weight moves:
raising the weight only ever adds units to A. The mapping of a 32-bit hash to buckets by multiply and shift is the one
of OpenFeature flagd's fractional evaluation.
"""

import random
from decimal import Decimal
from typing import Literal

import mmh3

Variant = Literal["A", "B"]
BUCKETS = 100_000


def bucket_of(seed: str, unit: str) -> int:
    """The unit's bucket, 0 to 99,999."""
    return (mmh3.hash(f"{seed}:{unit}", 0, signed=False) * BUCKETS) >> 32


def pick(*, seed: str, weight_a: Decimal | float, unit: str | None) -> Variant:
    """The variant of `unit`, sticky; without a unit a draw by weight. `weight_a` is a percentage."""
    threshold = round(weight_a * 1000)
    bucket = bucket_of(seed, unit) if unit is not None else random.randrange(BUCKETS)  # noqa: S311  # a draw, no secret
    return "A" if bucket < threshold else "B"
