"""The JSON in what models say: found wherever it may stand, and never guessed."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime import json_answers

HELD = {"city": "Rome"}
SAID = '{"city": "Rome"}'

FOUND: dict[str, str] = {
    "alone": SAID,
    "a byte order mark": "\ufeff" + SAID,
    "white space of every kind": f"\r\n\t {SAID}\n\n",
    "a fence": f"```json\n{SAID}\n```",
    "a fence without a language": f"```\n{SAID}\n```",
    "a fence with more than a language": f"```json5 title=x\n{SAID}\n```",
    "a fence of four": f"````json\n{SAID}\n````",
    "a fence of tildes": f"~~~json\n{SAID}\n~~~",
    "a fence with an indent and CR LF": f"  ```json\r\n  {SAID}\r\n  ```\r\n",
    "a fence on one line": f"```json {SAID}```",
    "a fence that nothing closes": f"```json\n{SAID}",
    "a fence with prose around it": f"Here you are:\n\n```json\n{SAID}\n```\nAnything else?",
    "a fence beside one in another language": f"```python\nprint({{1: 2}})\n```\n```json\n{SAID}\n```",
    "a fence with a byte order mark in it": f"```json\n\ufeff{SAID}\n```",
    "prose in front": f"The answer is {SAID}",
    "prose around": f"Sure! {SAID} Hope [that] helps {{you}}.",
    "footnotes around": f"By [1] and [2, 3]: {SAID}",
    "a stray bracket in front": f"Use [ or so: {SAID}",
    "the same twice": f"{SAID}\n\nAs I said: {SAID}",
    "thoughts": f"<think>\nA city... {{maybe Rome}}\n</think>\n\n{SAID}",
    "thoughts with another value in them": f'<think>{{"city": "Oslo"}}? No.</think>{SAID}',
    "thoughts and then a fence": f"<think>hm</think>\n```json\n{SAID}\n```",
    "thoughts twice": f"<think>a</think><think>b {{}}</think>{SAID}",
    "no thoughts": f"<think>\n\n</think>\n\n{SAID}",
    "thoughts whose beginning is in the prompt": f'It may be {{"city": "Oslo"}}.\n</think>\n{SAID}',
    "thoughts of another model": f"[THINK]hm []{{}}[/THINK]{SAID}",
    "thoughts that were asked for": f"<reasoning>Rome or {{}}</reasoning>\n{SAID}",
    "thoughts after a greeting": f"Hi! <thinking>{{}}</thinking> {SAID}",
}

REFUSED: dict[str, tuple[str, str]] = {
    "nothing": (" \n", "is empty"),
    "prose": ("I can't tell.", "not valid JSON"),
    "two values": ('{"a": 1} or {"a": 2}', "more than one JSON value"),
    "two fences": ("```json\n1\n```\n```json\n2\n```", "more than one JSON value"),
    "half of it": ('{"city": "Ro', "cut off"),
    "half of it in a fence": ('```json\n{"city": ["Ro', "cut off"),
    "half of a thought": ('<think>perhaps {"city": "Rome"}, or', "in the middle of a thought"),
    "thoughts alone": ('<think>{"city": "Rome"}</think>', "thoughts and nothing else"),
    "a name that is there twice": ('{"a": 1, "a": 2}', "there twice"),
    "no number of JSON": ("NaN", "NaN"),
    "half of a character": ('"\\ud800"', "surrogate"),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_one_value_that_a_text_holds_is_found(name: str) -> None:
    assert json_answers.read(FOUND[name]) == HELD


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_value_or_more_than_one_is_refused_with_its_reason(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        json_answers.read(text, called="the input")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc`{}[]<>/", max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES.filter(lambda value: "\x00" not in repr(value) and "\\x00" not in repr(value)), st.integers(0, 3))
def test_any_value_is_found_as_it_is_alone_and_in_a_fence(value: Any, indent: int) -> None:
    said = json.dumps(value, indent=indent or None, ensure_ascii=False)
    assert json_answers.read(said) == value
    assert json_answers.read(f"```json\n{said}\n```") == value
    if isinstance(value, dict):
        assert json_answers.read(f"<think>{{}}</think>\n{said}\n") == value


@pytest.mark.parametrize(
    "unit",
    [
        *'\n {[`"\\~<',
        "```\n",
        "\n```",
        "{}",
        '{"a":1}',
        '["',
        "<think>",
        "</think>",
        "<think></think>",
        "[1]",
        "{[",
        "[THINK]",
    ],
)
def test_a_megabyte_of_anything_costs_no_more_than_moments(unit: str) -> None:
    for text in (unit * (1_000_000 // len(unit)), "x" + unit * (1_000_000 // len(unit)) + "x"):
        started = time.process_time()
        try:
            json_answers.read(text)
        except ValueError:
            pass
        assert time.process_time() - started < 3
