"""Values of a workflow: texts and JSON with `{{ name }}` in them, filled from what a step can see. Pure.

A string that is nothing but one `{{ name }}` becomes the value itself, so that a list stays a list.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from prompts.rendering import NOT_THERE, VARIABLE, TooLongError, lookup, render, variables_of


class TooLargeError(ValueError):
    """A value is over what is kept of one step; the sentence says by which measure."""


def fill(value: Any, names: Mapping[str, Any], *, limit: int) -> tuple[Any, list[str]]:
    """`value` with its strings filled, and the names that had no value, each once.

    Raises TooLongError when what is filled in has more than `limit` characters in all.
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


def check_size(value: Any) -> int:
    """The characters of `value` as JSON (of a text, as it is). Raises TooLargeError for what can't be kept."""
    if not isinstance(value, str):
        _check_depth(value)
    limit: int = settings.PROMPTOPS_MAX_BODY_BYTES
    try:
        size = len(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError:
        raise TooLargeError("it holds a number that JSON can't have") from None
    if size > limit:
        raise TooLargeError(f"it has over {limit} characters")
    return size


def _check_depth(value: Any) -> None:
    deepest: int = settings.PROMPTOPS_MAX_JSON_DEPTH
    level, depth = [value], 0
    while level := [
        child
        for item in level
        if isinstance(item, list | Mapping)
        for child in (item.values() if isinstance(item, Mapping) else item)
        if isinstance(child, list | Mapping)
    ]:
        depth += 1
        if depth >= deepest:
            raise TooLargeError(f"it is nested deeper than {deepest} levels")


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
        rendered = render(value, names, limit=left)
        return rendered.text, rendered.missing, left - len(rendered.text)
    if isinstance(value, Mapping):
        filled: dict[str, Any] = {}
        missing: list[str] = []
        for name, item in value.items():
            filled[name], lacks, left = _fill(item, names, left)
            missing += lacks
        return filled, missing, left
    if isinstance(value, list):
        items, missing = [], []
        for item in value:
            made, lacks, left = _fill(item, names, left)
            items.append(made)
            missing += lacks
        return items, missing, left
    return value, [], left
