"""Values of a workflow: texts and JSON with `{{ name }}` in them, filled from what a step can see. Pure.

A string that is nothing but one `{{ name }}` becomes the value itself, so that a list stays a list.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from prompts.content.rendering import (
    NOT_THERE,
    VARIABLE,
    Rendered,
    TooLongError,
    lookup,
    render,
    variables_of,
)


class TooLargeError(ValueError):
    """A value is larger than what is stored of one step; the message says by which measure."""


def fill(value: Any, names: Mapping[str, Any], *, limit: int) -> tuple[Any, list[str]]:
    """`value` with its strings filled, and the names that had no value, each once.

    Raises TooLongError when the values that are filled in have more than `limit` characters together, TooLargeError for
    a value that is too large to be stored.
    """
    filled, missing, _ = _fill(value, names, limit)
    return filled, list(dict.fromkeys(missing))


def strings_of(value: Any) -> Iterator[str]:
    """Every string in a JSON value; names of objects are none of them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def names_in(value: Any) -> list[str]:
    """The names that the strings in a JSON value ask for."""
    return [name for text in strings_of(value) for name in variables_of(text)]


def rendered(template: str, names: Mapping[str, Any], *, limit: int) -> Rendered:
    """A template with its values in it.

    Raises TooLongError when the values have more than `limit` characters, TooLargeError for a value that is too large
    to be stored. Values are measured before they are written out as text.
    """
    left = limit
    for name in variables_of(template):
        found = lookup(names, name)
        if isinstance(found, Mapping | list):
            left -= check_size(found)
            if left < 0:
                raise TooLongError
    return render(template, names, limit=limit)


def check_size(value: Any) -> int:
    """The length of `value` as JSON (of a text, as it is), in characters. Raises TooLargeError if it is too large."""
    limit: int = settings.PROMPTOPS_MAX_BODY_BYTES
    if not isinstance(value, str):
        _check_shape(value, limit)
    try:
        size = len(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError:
        raise TooLargeError("it holds a number that JSON can't have") from None
    if size > limit:
        raise TooLargeError(_over(limit))
    return size


def _check_shape(value: Any, limit: int) -> None:
    """Refuse what is too deep or surely over the limit, in bounded time. A value that contains one list often can't
    be written out to be measured."""
    deepest: int = settings.PROMPTOPS_MAX_JSON_DEPTH
    level, depth, total = [[value]], -1, 0
    while level:
        depth += 1
        if depth > deepest:
            raise TooLargeError(f"it is nested deeper than {deepest} levels")
        below: list[Any] = []
        for parent in level:
            children = parent.values() if isinstance(parent, dict) else parent
            total += 2 * len(children)
            if isinstance(parent, dict):
                total += sum(map(len, parent))
            for child in children:
                if isinstance(child, str):
                    total += len(child)
                elif isinstance(child, dict | list):
                    below.append(child)
                elif isinstance(child, int):
                    total += child.bit_length() // 4
            if total > limit:
                raise TooLargeError(_over(limit))
        level = below


def _over(limit: int) -> str:
    return f"it has over {limit} characters"


def _fill(value: Any, names: Mapping[str, Any], left: int) -> tuple[Any, list[str], int]:
    if isinstance(value, str):
        alone = VARIABLE.fullmatch(value.strip())
        if alone:
            found = lookup(names, alone[1])
            if found is NOT_THERE:
                return value, [alone[1]], left
            left -= check_size(found)
            if left < 0:
                raise TooLongError
            return found, [], left
        made = rendered(value, names, limit=left)
        return made.text, made.missing, left - len(made.text)
    if isinstance(value, Mapping):
        filled: dict[str, Any] = {}
        missing: list[str] = []
        for name, item in value.items():
            filled[name], lacking, left = _fill(item, names, left)
            missing += lacking
        return filled, missing, left
    if isinstance(value, list):
        items, missing = [], []
        for item in value:
            one, lacking, left = _fill(item, names, left)
            items.append(one)
            missing += lacking
        return items, missing, left
    return value, [], left
