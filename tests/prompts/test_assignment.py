"""Which unit gets which variant (contract, section 4). The vectors are for SDKs in any language."""

from decimal import Decimal
from typing import Any

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.rollouts import BUCKETS, bucket_of, pick
from tests.contract.vectors import load

VECTORS = load("rollouts")
TEXT = st.text(st.characters(codec="utf-8"))
WEIGHTS = st.decimals(0, 100, places=3)


@pytest.mark.parametrize("vector", VECTORS["murmur3_x86_32"], ids=lambda vector: f"{vector['text']!r} {vector['seed']}")
def test_the_published_hashes_are_those_of_our_hash(vector: dict[str, Any]) -> None:
    assert mmh3.hash(vector["text"], vector["seed"], signed=False) == vector["hash"]


@pytest.mark.parametrize("vector", VECTORS["edges"], ids=lambda vector: vector["text"])
def test_flagds_edges_of_the_hash_land_in_the_first_and_last_buckets_and_on_both_sides_of_the_middle(
    vector: dict[str, Any],
) -> None:
    digest = mmh3.hash(vector["text"], 0, signed=False)
    assert (digest, (digest * BUCKETS) >> 32) == (vector["hash"], vector["bucket"])


@pytest.mark.parametrize(
    "vector", VECTORS["assignments"], ids=lambda vector: f"{vector['unit'][:9]!r} at {vector['weight_a']}"
)
def test_the_assignments_that_sdks_read_hold_here(vector: dict[str, Any]) -> None:
    assert bucket_of(vector["seed"], vector["unit"]) == vector["bucket"]
    for weight in (vector["weight_a"], Decimal(str(vector["weight_a"]))):
        assert pick(seed=vector["seed"], weight_a=weight, unit=vector["unit"]) == vector["variant"]


@given(TEXT, TEXT)
def test_a_bucket_is_in_range_and_the_same_every_time(seed: str, unit: str) -> None:
    assert 0 <= bucket_of(seed, unit) < BUCKETS
    assert bucket_of(seed, unit) == bucket_of(seed, unit)


@given(TEXT, TEXT, WEIGHTS, WEIGHTS)
def test_raising_the_weight_only_ever_adds_units_to_a(seed: str, unit: str, one: Decimal, two: Decimal) -> None:
    low, high = sorted((one, two))
    before = pick(seed=seed, weight_a=low, unit=unit)
    after = pick(seed=seed, weight_a=high, unit=unit)
    assert (before, after) in {("A", "A"), ("B", "B"), ("B", "A")}


@given(TEXT, TEXT)
def test_at_0_percent_nobody_gets_a_and_at_100_everybody(seed: str, unit: str) -> None:
    assert pick(seed=seed, weight_a=0, unit=unit) == "B"
    assert pick(seed=seed, weight_a=100, unit=unit) == "A"


@given(TEXT, TEXT, WEIGHTS)
def test_a_weight_means_the_same_as_a_decimal_and_as_a_float(seed: str, unit: str, weight: Decimal) -> None:
    assert pick(seed=seed, weight_a=weight, unit=unit) == pick(seed=seed, weight_a=float(weight), unit=unit)


@pytest.mark.parametrize("weight", [0.5, 10, 33.333, 50, 99])
@pytest.mark.parametrize("seed", ["00f1e2d3c4b5a697", "another"])
def test_the_share_of_a_among_many_units_is_the_weight(seed: str, weight: float) -> None:
    units = 20_000
    in_a = sum(pick(seed=seed, weight_a=weight, unit=f"user-{number}") == "A" for number in range(units))
    deviation = (weight * (100 - weight) / units) ** 0.5
    assert abs(100 * in_a / units - weight) < 4 * deviation


def test_two_rollouts_assign_the_same_units_independently() -> None:
    both = sum(
        pick(seed="one", weight_a=50, unit=str(unit)) == pick(seed="two", weight_a=50, unit=str(unit)) == "A"
        for unit in range(20_000)
    )
    assert abs(both / 20_000 - 0.25) < 0.02


def test_without_a_unit_each_fetch_draws_by_weight() -> None:
    drawn = [pick(seed="s", weight_a=Decimal("20"), unit=None) for _ in range(5_000)]
    assert 0.16 < drawn.count("A") / len(drawn) < 0.24
    assert {pick(seed="s", weight_a=100, unit=None) for _ in range(100)} == {"A"}
    assert {pick(seed="s", weight_a=0, unit=None) for _ in range(100)} == {"B"}
