"""The rules for names in a definition. tests/browser/test_modules.py tries the builder with the same vectors."""

import re
from typing import Any

import pytest

from tests.contract.vectors import load
from workflows.language import names


@pytest.mark.parametrize("vector", load("step_ids"), ids=lambda vector: vector["name"])
def test_steps_have_the_ids_of_the_vectors(vector: dict[str, Any]) -> None:
    assert names.step_ids(vector["steps"]) == vector["ids"]


def test_a_name_of_over_200_characters_is_not_used_as_an_id() -> None:
    assert names.step_ids([{"name": "x" * 200}, {"name": "y" * 201}]) == ["x" * 200, "step_2"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("topic", None),
        ("inputs", None),
        ("inputs.topic", None),
        ("inputs.topic.deep", None),
        ("inputs.other", "inputs.other: there is no input other; expected one of: topic"),
        ("steps", None),
        ("steps.draft", None),
        ("steps.draft.output", None),
        ("steps.draft.output.deep", None),
        ("steps.later.output", "steps.later.output: there is no step later before this one; expected one of: draft"),
        ("steps.draft.nothing", "steps.draft.nothing: a step gives error, output"),
    ],
)
def test_a_reference_names_what_can_be_seen_or_says_what_could_be(name: str, problem: str | None) -> None:
    steps = {"draft": {"output", "error"}}
    assert names.reference_problem(name, steps=steps, inputs={"topic"}) == problem


@pytest.mark.parametrize(
    ("name", "fits"),
    [("topic", True), ("größe", True), ("user-name", True), ("a.b", False), ("a b", False), ("", False)],
)
def test_the_name_of_an_input_is_a_variable_without_dots(name: str, fits: bool) -> None:
    assert bool(re.match(names.INPUT_NAME, name)) is fits
