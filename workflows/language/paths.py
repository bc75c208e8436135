"""JMESPath: expressions that find values in what a step can see. Pure.

An expression has no loop, but it can copy a value into itself again and again, so that a short one makes gigabytes. So
its work is counted, and it is stopped when that is too much. A call of a built-in function can't be stopped; no call
gets values so large that it takes more than some milliseconds.
"""

import functools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter

from governance.api.parsing import unstorable

MAX_LENGTH = 1000
MAX_DEPTH = 60
#: The most work of one evaluation: nodes visited, and values and hundreds of characters made or compared.
MAX_WORK = 1_000_000
#: Characters that one call may make.
MAX_TEXT = 1024 * 1024
#: Work between two looks at the clock.
_BETWEEN = 1000

_MAKERS = {
    "multi_select_list",
    "multi_select_dict",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
    "function_expression",
}
_CONTAINERS = {"subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection"}


class PathError(ValueError):
    """It is no JMESPath expression, or it can't be evaluated on these values."""


class TooMuchError(PathError):
    """It would take more time or memory than an expression may."""

    def __init__(self) -> None:
        super().__init__("it makes too much of what it is given")


class Clock:
    """Measures seconds of CPU time on the thread that made it, from then on."""

    def __init__(self, seconds: float) -> None:
        self._end = time.thread_time() + seconds

    def check(self) -> None:
        """Raise TooMuchError when the time is over."""
        if time.thread_time() > self._end:
            raise TooMuchError


@functools.lru_cache(maxsize=2048)
def compiled(path: str) -> Mapping[str, Any]:
    """The parsed expression. Raises PathError, which says what is wrong with it."""
    if len(path) > MAX_LENGTH:
        raise PathError(f"expected at most {MAX_LENGTH} characters")
    try:
        parsed: Mapping[str, Any] = jmespath.compile(path).parsed
    except JMESPathError as error:
        raise PathError(f"expected a JMESPath expression: {' '.join(str(error).split())[:200]}") from None
    except (RecursionError, ValueError):  # it unescapes what it reads
        raise PathError("expected a JMESPath expression, not nested too deep") from None
    _check(parsed)
    return parsed


def search(path: str, names: Mapping[str, Any], clock: Clock | None = None) -> Any:
    """What `path` finds in `names`; None when it finds nothing.

    Raises PathError when it can't be evaluated on these values, TooMuchError when that takes too much work or time.
    """
    try:
        return _Counting(clock).visit(compiled(path), names)
    except JMESPathError as error:
        raise PathError(" ".join(str(error).split())[:300]) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise error if isinstance(error, PathError) else PathError(f"it can't be evaluated here: {error}") from None


def references(path: str) -> list[str]:
    """The names that the expression reads, as dotted names such as `steps.a.output`."""
    return [".".join(chain) for chain in _chains(compiled(path))]


def _chains(node: Mapping[str, Any]) -> Iterator[list[str]]:
    kind, children = node["type"], node["children"]
    if kind == "field" or kind in _CONTAINERS or kind == "flatten":
        chain = list(_spine(node))
        if chain:
            yield chain
        elif children and kind != "field":
            yield from _chains(children[0])
    elif kind != "expref":
        for child in children:
            if isinstance(child, Mapping):  # a slice's are numbers
                yield from _chains(child)


def _spine(node: Mapping[str, Any]) -> Iterator[str]:
    """The fields that one after the other lead into the node, as far as they are plain names."""
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] == "subexpression":
        for child in node["children"]:
            yield from _spine(child)
            if child["type"] != "field":
                return
    elif node["type"] in _CONTAINERS or node["type"] == "flatten":
        yield from _spine(node["children"][0])


def _check(root: Mapping[str, Any]) -> None:
    """Refuse what parses but is too deep, calls unknown functions, or has texts that can't be stored."""
    waiting: list[tuple[Any, int]] = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        if depth > MAX_DEPTH:
            raise PathError(f"expected an expression of at most {MAX_DEPTH} levels")
        kind, value = node["type"], node.get("value")
        if kind == "function_expression":
            _check_call(value, len(node["children"]))
        elif kind in {"field", "key_val_pair"} and unstorable(str(value)):
            raise PathError("text may hold no NUL character and no lone surrogate")
        elif kind == "literal":
            weigh(value, MAX_WORK, strict=True)
        waiting.extend((child, depth + 1) for child in node["children"])


def _check_call(name: Any, count: int) -> None:
    known: Mapping[str, Any] = Functions.FUNCTION_TABLE
    if name not in known:
        raise PathError(f"there is no function {name}(); expected one of: {', '.join(sorted(known))}")
    signature = known[name]["signature"]
    expected = len(signature)
    if count < expected or (count > expected and not (signature and signature[-1].get("variadic"))):
        raise PathError(f"{name}() takes {expected} argument{'' if expected == 1 else 's'}, not {count}")


def weigh(value: Any, limit: float, *, strict: bool = False) -> int:
    """How much `value` is: its values, and hundreds of characters. Stops and raises TooMuchError beyond `limit`.

    Without recursion, and a value that is in it twice counts twice. `strict` refuses what no database takes.
    """
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        total += 1
        if isinstance(item, str):
            total += len(item) // 100
            if strict and unstorable(item):
                raise PathError("text may hold no NUL character and no lone surrogate")
        elif isinstance(item, Mapping):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif strict and isinstance(item, float) and not math.isfinite(item):
            raise PathError("expected a JSON number")
        if total + len(waiting) > limit:
            raise TooMuchError
    return total


def _length(value: Any) -> int:
    """About how many characters `value` has as JSON. Stops beyond what a call may make, and raises TooMuchError."""
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        total += len(item) + 2 if isinstance(item, str) else 2
        if isinstance(item, int):
            total += item.bit_length() // 3
        elif isinstance(item, Mapping):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        if total + len(waiting) > MAX_TEXT:
            raise TooMuchError
    return total


_SORTING = {"sort", "sort_by"}


class _Functions(Functions):
    def __init__(self, counting: "_Counting") -> None:
        self._counting = counting

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        resolved_args = list(resolved_args)
        values = [value for value in resolved_args if isinstance(value, str | int | float | list | dict)]
        self._counting.spend(sum(weigh(value, self._counting.left) for value in values))
        if function_name in _SORTING and isinstance(resolved_args[0], list):
            self._counting.spend(len(resolved_args[0]) * len(resolved_args[0]).bit_length())
        elif function_name == "join" and isinstance(resolved_args[0], str) and isinstance(resolved_args[1], list):
            glue, parts = resolved_args
            if _length(parts) + len(glue) * len(parts) > MAX_TEXT:
                raise TooMuchError
        elif function_name == "to_string":
            _length(resolved_args[0])
        return super().call_function(function_name, resolved_args)


class _Counting(TreeInterpreter):
    """Evaluates one expression, and counts."""

    def __init__(self, clock: Clock | None) -> None:
        super().__init__(Options(custom_functions=_Functions(self)))
        self.left = MAX_WORK
        self._clock = clock
        self._look_at = MAX_WORK - _BETWEEN
        usual = TreeInterpreter.COMPARATOR_FUNC
        self.COMPARATOR_FUNC = {  # type: ignore[misc]  # ours, which count
            name: functools.partial(self._compare, compare) for name, compare in usual.items()
        }

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooMuchError
        if self.left < self._look_at and self._clock is not None:
            self._clock.check()
            self._look_at = self.left - _BETWEEN

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self.spend(1)
        made = super().visit(node, *args, **kwargs)
        if node["type"] in _MAKERS:
            self.spend(weigh(made, self.left))
        return made

    def _compare(self, compare: Any, left: Any, right: Any) -> Any:
        self.spend(weigh(left, self.left) + weigh(right, self.left))
        return compare(left, right)
