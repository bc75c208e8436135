"""Finds the JSON value in the output of a model, for agents and steps of workflows alike.

A text may be JSON, or contain it: in a fence of any kind, after the model's reasoning, or among prose. When there are
several different values, none is taken. The time for all of it is linear in the text.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rest_framework.exceptions import ParseError

from agents.providers.openai_compatible.reasoning import MARKS
from governance.api.parsing import loads

#: Marks around reasoning: those of models, and those that prompts ask for.
_REASONING_MARKS = (
    *MARKS,
    *(("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("<reasoning>", "</reasoning>")),
)
_BRACKET = re.compile(r'["\\{}\[\]]')
_FENCES = ("```", "~~~")
_CUT_OFF = "it was cut off before its JSON is whole"
#: How many opening brackets that nothing closes may be taken for prose, how many brackets and quotation marks are
#: looked at in all, and how many passages in brackets or fences are parsed.
_MAX_STRAY = 4
_MAX_SIGNS = 1_000_000
_MAX_SPANS = 1_000
#: How many marked passages of reasoning may follow each other.
_MAX_REASONING = 8
_MARGIN = "\ufeff\u200b \t\r\n"
_NONE = object()


def read(text: str, *, called: str = "this") -> Any:
    """The JSON value of a text, named `called` in errors. Raises ValueError, which says why there is none."""
    text = text.strip(_MARGIN)
    if not text:
        raise ValueError(f"{called} is empty")
    value, problem = _loaded(text, called)
    answer = text if value is not _NONE else _without_reasoning(text, called)
    if answer is not text:
        value, problem = _loaded(answer, called)
    if value is not _NONE:
        return value
    found, is_cut = _fenced(answer)
    if not found:
        found, is_open = _bracketed(answer)
        is_cut = is_cut or is_open
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{called} holds more than one JSON value, and nothing says which of them is meant")
    raise ValueError(f"{problem}: {_CUT_OFF}" if is_cut else problem)


def _loaded(text: str, called: str = "this") -> tuple[Any, str]:
    try:
        return loads(text), ""
    except ParseError as error:
        return _NONE, str(error.detail).replace("the body", called)


def _without_reasoning(text: str, called: str) -> str:
    """The text after the reasoning, which has drafts and no answer in it. Raises ValueError when there is none."""
    for _ in range(_MAX_REASONING):
        marks = next((marks for marks in _REASONING_MARKS if text.startswith(marks[0])), None)
        if marks is None:
            break
        _, closed, rest = text.partition(marks[1])
        if not closed:
            raise ValueError(f"{called} is not valid JSON: it was cut off in the middle of a thought")
        text = rest.strip(_MARGIN)
        if not text:
            raise ValueError(f"{called} is not valid JSON: it holds thoughts and nothing else")
    for _, closing in _REASONING_MARKS:  # where the opening mark was in the prompt, or something stands in front of it
        _, found, after = text.rpartition(closing)
        if found and after.strip(_MARGIN):
            text = after.strip(_MARGIN)
    return text


def _fenced(text: str) -> tuple[list[Any], bool]:
    """The values in fences that are JSON as a whole, and whether a fence is never closed."""
    found: list[Any] = []
    fence, inside, closed = "", list[str](), 0
    for line in text.split("\n"):
        bare = line.strip()
        if not fence:
            if bare.startswith(_FENCES):
                fence, inside = bare[: len(bare) - len(bare.lstrip(bare[0]))], []
        elif bare.startswith(fence) and not bare.strip(fence[0]):
            _add(found, _loaded("\n".join(inside).strip(_MARGIN))[0])
            fence = ""
            closed += 1
            if len(found) > 1 or closed == _MAX_SPANS:
                break
        else:
            inside.append(line)
    return found, bool(fence)


def _bracketed(text: str) -> tuple[list[Any], bool]:
    """The outermost objects and lists in a text, and whether one is never closed.

    A list of nothing but numbers is taken for a footnote: it counts only when there is no other value.
    """
    found: list[Any] = []
    footnotes: list[Any] = []
    is_open, signs = False, iter(range(_MAX_SIGNS))
    place = 0
    for _ in range(_MAX_STRAY):
        stray = None
        for start, end in islice(_spans(text, place, signs), _MAX_SPANS):
            if end is None:
                is_open, stray = True, start + 1
                break
            value = _loaded(text[start:end])[0]
            is_footnote = isinstance(value, list) and all(isinstance(one, int | float) for one in value)
            _add(footnotes if is_footnote else found, value)
            if len(found) > 1:
                break
        if found or stray is None:
            break
        place = stray
    return found or footnotes, is_open


def _spans(text: str, place: int, signs: Iterator[int]) -> Iterator[tuple[int, int | None]]:
    """Start and end of each outermost pair of brackets; the end is None for a bracket that is never closed."""
    start, open_brackets, in_string, skipped = 0, 0, False, -1
    for match, _ in zip(_BRACKET.finditer(text, place), signs, strict=False):
        at, sign = match.start(), match[0]
        if not open_brackets:
            if sign in "{[":
                start, open_brackets, in_string = at, 1, False
        elif at == skipped:
            continue
        elif sign == "\\":
            skipped = at + 1 if in_string else -1
        elif sign == '"':
            in_string = not in_string
        elif not in_string:
            open_brackets += 1 if sign in "{[" else -1
            if not open_brackets:
                yield start, at + 1
    if open_brackets:
        yield start, None


def _add(found: list[Any], value: Any) -> None:
    """Add another value unless it is there already: some models write it twice."""
    if value is not _NONE and len(found) < 2 and value not in found:
        found.append(value)
