"""Structured conditions: `{"path", "op", "value"}`, joined by `and`, `or` and `not`. Pure.

There is no expression language to parse and no loop. Values that can't be compared make a condition false. One that
takes too long to evaluate is an error, not false.
"""

from collections.abc import Callable, Mapping
from typing import Any

from workflows.language import paths

MAX_DEPTH = 8
MAX_PARTS = 50

#: The operators that compare what was found with a value, which may be any JSON value.
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, value: same(found, value),
    "ne": lambda found, value: not same(found, value),
    "lt": lambda found, value: comparable(found, value) and found < value,
    "lte": lambda found, value: comparable(found, value) and found <= value,
    "gt": lambda found, value: comparable(found, value) and found > value,
    "gte": lambda found, value: comparable(found, value) and found >= value,
    "in": lambda found, value: contains(value, found),
    "contains": lambda found, value: contains(found, value),
    "starts_with": lambda found, value: texts(found, value) and found.startswith(value),
    "ends_with": lambda found, value: texts(found, value) and found.endswith(value),
}
#: The operators that look at what was found alone.
TESTS: dict[str, Callable[[Any], bool]] = {
    "exists": lambda found: found is not None,
    "empty": lambda found: found is None or found in ("", [], {}),
}


def holds(condition: Mapping[str, Any], names: Mapping[str, Any], clock: paths.Clock | None = None) -> bool:
    """Whether the condition holds for the values in `names`. A path that can't be evaluated finds nothing.

    Raises paths.TooMuchError when that takes too much work or time.
    """
    if "and" in condition:
        return all(holds(part, names, clock) for part in condition["and"])
    if "or" in condition:
        return any(holds(part, names, clock) for part in condition["or"])
    if "not" in condition:
        return not holds(condition["not"], names, clock)
    try:
        if clock is not None:
            clock.check()
        found = paths.search(condition["path"], names, clock)
    except paths.TooMuchError:
        raise
    except paths.PathError:
        found = None
    test = TESTS.get(condition["op"])
    return test(found) if test else COMPARISONS[condition["op"]](found, condition["value"])


def same(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def contains(whole: Any, part: Any) -> bool:
    """Whether a list has that item, a text that text, an object that name."""
    if isinstance(whole, list):
        return any(same(item, part) for item in whole)
    return isinstance(part, str) and isinstance(whole, str | Mapping) and part in whole


def texts(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str)


def comparable(one: Any, other: Any) -> bool:
    """Two numbers, or two texts."""
    return texts(one, other) or all(type(value) in (int, float) for value in (one, other))
