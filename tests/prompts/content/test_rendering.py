"""Filling `{{ name }}` in a text (contract, section 3). The vectors are for SDKs in any language."""

import json
import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from prompts.content.rendering import TooLongError, render, variables_of
from tests.contract.vectors import load

NAMES = st.from_regex(r"[A-Za-z0-9_é質-]{1,3}(\.[A-Za-z0-9_😀-]{1,3}){0,2}", fullmatch=True)
SPACE = st.sampled_from(["", " ", "  ", "\t", "\n", "\u00a0"])
#: Values that are full of what a template is made of.
VALUES = st.text("{}ab. \n") | st.sampled_from(["{{a}}", "{{", "}}", "{{a", "{{ b }}"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def templates(draw: st.DrawFn) -> list[str | tuple[str, str]]:
    """Pieces: a text without braces, or a variable as (name, how it is written)."""
    pieces: list[str | tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            name = draw(NAMES)
            pieces.append((name, f"{{{{{draw(SPACE)}{name}{draw(SPACE)}}}}}"))
        else:
            pieces.append(draw(st.text(st.characters(exclude_characters="{}", codec="utf-8"), max_size=10)))
    return pieces


def written(pieces: list[str | tuple[str, str]]) -> str:
    return "".join(piece if isinstance(piece, str) else piece[1] for piece in pieces)


@pytest.mark.parametrize("vector", load("rendering"), ids=lambda vector: vector["name"])
def test_the_vectors_that_sdks_read_hold_here(vector: dict[str, Any]) -> None:
    rendered = render(vector["template"], vector["variables"])
    assert (rendered.text, rendered.missing, rendered.unused) == (vector["text"], vector["missing"], vector["unused"])


@given(templates(), st.dictionaries(NAMES, VALUES, max_size=4), st.data())
def test_a_value_goes_in_as_it_is_and_is_never_rendered_again(
    pieces: list[str | tuple[str, str]], others: dict[str, str], data: st.DataObject
) -> None:
    names = {piece[0] for piece in pieces if isinstance(piece, tuple)}
    values = {name: data.draw(VALUES) for name in sorted(names)}
    rendered = render(written(pieces), {**others, **values})
    assert rendered.text == "".join(piece if isinstance(piece, str) else values[piece[0]] for piece in pieces)
    assert rendered.missing == []


@given(templates(), st.dictionaries(NAMES.filter(lambda name: "." not in name), VALUES, max_size=4))
def test_missing_are_exactly_the_names_without_a_value_and_they_stay_as_they_are_written(
    pieces: list[str | tuple[str, str]], values: dict[str, str]
) -> None:
    rendered = render(written(pieces), values)
    expected = [piece if isinstance(piece, str) else values.get(piece[0], piece[1]) for piece in pieces]
    without = [piece[0] for piece in pieces if isinstance(piece, tuple) and piece[0] not in values]
    assert rendered.text == "".join(expected)
    assert rendered.missing == list(dict.fromkeys(without))


@given(st.text(st.characters(codec="utf-8")) | st.text("{} a.\n"), st.dictionaries(NAMES, VALUES))
@example("{{ {{ }} }} {{}} {{a b}} {{a", {"a": "x", "b": "x"})
def test_a_text_without_variables_is_untouched(text: str, values: dict[str, str]) -> None:
    assume(not variables_of(text))
    rendered = render(text, values)
    assert (rendered.text, rendered.missing, rendered.unused) == (text, [], list(values))


@given(templates(), st.dictionaries(NAMES, VALUES, max_size=4))
def test_each_given_name_is_either_asked_for_whole_or_by_a_path_or_unused(
    pieces: list[str | tuple[str, str]], values: dict[str, str]
) -> None:
    names = {piece[0] for piece in pieces if isinstance(piece, tuple)}
    asked = {name if name in values else name.split(".")[0] for name in names}
    assert render(written(pieces), values).unused == [name for name in values if name not in asked]


@given(st.characters(codec="utf-8", exclude_characters="{}"))
def test_a_character_makes_a_name_unless_it_is_white_space_or_other_ascii(character: str) -> None:
    space = character.isspace() and character not in "\x1c\x1d\x1e\x1f"
    allowed = not space and (not character.isascii() or character.isalnum() or character in "_.-")
    assert variables_of("{{" + character + "}}") == [character] * allowed
    assert variables_of("{{" + character + "a}}") == ["a"] * space + [character + "a"] * allowed


@given(JSON.filter(lambda value: not isinstance(value, str)))
def test_what_is_no_string_is_rendered_as_json_that_reads_back_as_the_value(value: Any) -> None:
    text = render("{{ value }}", {"value": value}).text
    assert json.loads(text) == value
    assert type(json.loads(text)) is type(value)


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "{{" * (n // 2),
        lambda n: "{{ " * (n // 3),
        lambda n: "{{a" * (n // 3),
        lambda n: "{{a " * (n // 4),
        lambda n: "{{" + " " * n,
        lambda n: "{{" + " " * n + "a}",
        lambda n: "{{a" + " " * n,
        lambda n: "{{" + "a" * n,
        lambda n: "{{" + "a" * (n // 2) + " " * (n // 2) + "}",
        lambda n: "{{" + "a." * (n // 2) + "}}",
        lambda n: "{{" + "." * n + "}}",
        lambda n: ("{{" + " " * 50 + "a" * 50 + " " * 50) * (n // 152),
        lambda n: "{{a}}" * (n // 5),
        lambda n: "{{x}}" * (n // 5),
        lambda n: ("{{" + "é-" * 64) * (n // 130),
        lambda n: ("{{" + "é" * 128 + " " * 800) * (n // 930),
        lambda n: "".join(f"{{{{{number}}}}}" for number in range(n // 9)),
    ],
    ids=[
        "opening braces",
        "opening braces and a space",
        "opening braces and a letter",
        "opening braces, a letter and a space",
        "one opening, then spaces",
        "one opening, spaces, half a closing",
        "one opening, a letter, then spaces",
        "one opening, then letters",
        "one opening, letters, spaces, half a closing",
        "one long path",
        "one path of empty names",
        "openings with much in them",
        "many variables with a value",
        "many variables without one",
        "openings with the longest name in them",
        "openings with the longest name and much space in them",
        "many different variables without one",
    ],
)
def test_a_hundred_kilobytes_of_any_shape_take_less_than_a_tenth_of_a_second(shape: Any) -> None:
    text, values = shape(100_000), {"a": "value"}
    started = time.process_time()  # of this process alone, whatever else the machine does
    render(text, values)
    assert time.process_time() - started < 0.1


def test_a_limit_stops_a_text_that_would_grow_out_of_hand_before_it_is_made() -> None:
    long = "x" * 1_000_000
    started = time.process_time()
    with pytest.raises(TooLongError):
        render("{{a}}" * 50_000, {"a": long}, limit=2_000_000)
    assert time.process_time() - started < 1
    assert len(render("{{a}}{{a}}", {"a": long}, limit=2_000_000).text) == 2_000_000
