"""The SDK renders and assigns as the server does. This file alone imports both."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promptops_client._rendering import Template
from promptops_client._rollouts import Rollout, bucket_of

from prompts import rollouts
from prompts.content import rendering
from tests.contract.vectors import load

VECTORS = load("rollouts")
NAMES = st.text("ab._", min_size=1, max_size=4)
TEMPLATES = st.lists(
    st.sampled_from(
        ["{{", "}}", "{", "}", " ", "\n", "\u00a0", "-", "é", "\u001c", "\u200b", "{{a}}", "{{ a.b }}", "{{b}}"]
    )
    | NAMES,
    max_size=12,
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def document(version: str, **more: Any) -> dict[str, Any]:
    plain = {"key": "k", "version": version, "env": "prod", "model": "", "content": "", "config": {}}
    return {**plain, **more}


def rollout(seed: str, weight_a: float) -> Rollout:
    variants = {"A": document("v1"), "B": document("v2")}
    return Rollout.of(document("v1", rollout={"seed": seed, "weight_a": weight_a, "variants": variants}))


@pytest.mark.parametrize("vector", load("rendering"), ids=lambda vector: vector["name"])
def test_the_vectors_of_rendering_hold(vector: dict[str, Any]) -> None:
    rendered = Template(vector["template"]).fill(vector["variables"])
    found = (rendered.text, list(rendered.missing), list(rendered.unused))
    assert found == (vector["text"], vector["missing"], vector["unused"])


@given(TEMPLATES | st.text(), st.dictionaries(NAMES, JSON, max_size=4))
def test_any_text_with_any_values_is_rendered_as_the_server_renders_it(text: str, variables: dict[str, Any]) -> None:
    client, server = Template(text).fill(variables), rendering.render(text, variables)
    assert (client.text, list(client.missing), list(client.unused)) == (server.text, server.missing, server.unused)
    assert list(Template(text).names) == rendering.variables_of(text)


@pytest.mark.parametrize(
    "vector", VECTORS["assignments"], ids=lambda vector: f"{vector['unit'][:9]!r} at {vector['weight_a']}"
)
def test_the_vectors_of_assignment_hold(vector: dict[str, Any]) -> None:
    assert bucket_of(vector["seed"], vector["unit"]) == vector["bucket"]
    assert rollout(vector["seed"], vector["weight_a"]).pick(vector["unit"]).variant == vector["variant"]


@given(st.text(), st.text(), st.decimals(0, 100, places=3))
def test_any_unit_gets_the_variant_that_the_server_gives_it(seed: str, unit: str, weight: Any) -> None:
    received = json.loads(json.dumps(float(weight)))  # as it comes over the wire
    variant = rollouts.pick(seed=seed, weight_a=weight, unit=unit)
    picked = rollout(seed, received).pick(unit)
    assert (picked.variant, picked.version) == (variant, "v1" if variant == "A" else "v2")


@pytest.mark.parametrize("weight", [0, 20, 100])
def test_without_a_unit_variants_are_drawn_by_weight(weight: float) -> None:
    drawn = [rollout("seed", weight).pick(None).variant for _ in range(5_000)]
    assert abs(drawn.count("A") / 50 - weight) <= (0 if weight in {0, 100} else 4)
