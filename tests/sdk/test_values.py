"""Values that JSON has no form for, as applications have them: each is written in one documented way, or refused."""

import datetime
import uuid
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from promptops_client import CannotRender, Prompt, PromptOpsError

UTC = datetime.UTC


def render(value: Any) -> str:
    prompt = Prompt(key="k", version="v1", env="prod", model="", content="{{ value }}")
    return prompt.render({"value": value})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.date(2027, 1, 1), "2027-01-01"),
        (datetime.datetime(2027, 1, 1, 9, 30, tzinfo=UTC), "2027-01-01T09:30:00+00:00"),
        (datetime.time(9, 30), "09:30:00"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"b", "a"}, '["a","b"]'),
        (frozenset({10, 9}), "[9,10]"),
        ({1, "a"}, '["a",1]'),
        ({frozenset({2}), frozenset({1})}, "[[1],[2]]"),
        ((1, 2), "[1,2]"),
        ([datetime.date(2027, 1, 1), Decimal("1.50")], '["2027-01-01","1.50"]'),
        ({"when": {datetime.date(2027, 1, 2), datetime.date(2027, 1, 1)}}, '{"when":["2027-01-01","2027-01-02"]}'),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), '{"a":{"b":1}}'),
    ],
)
def test_a_value_that_json_does_not_know_is_written_in_its_documented_form(value: Any, text: str) -> None:
    assert render(value) == text


HUGE = 10**5000  # Python refuses to write out so many digits


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def deep() -> Any:
    made: Any = 1
    for _ in range(100_000):
        made = [made]
    return made


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", [object()], {(1, 2): "a tuple as a name"}, circle(), deep(), HUGE, 1j, {object()}],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_is_refused_by_an_error_that_names_its_variable(value: Any) -> None:
    with pytest.raises(CannotRender, match="the value of value can't be written") as refused:
        render(value)
    assert refused.value.name == "value"
    assert isinstance(refused.value, PromptOpsError)
