"""Every regular expression of the product, tried on a megabyte of its worst case: each has to take linear time.

They are collected from the source, so that a new one is tried without being named here. An expression that is made of
what is known at run time only has to be in MADE_LATER, with a sample.
"""

import ast
import importlib
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "bench", "governance", "promptops", "prompts", "sdk/python/promptops_client", "workflows")
SIZE = 1_000_000
#: On how many characters it is found out which the worst cases are, and how many of these are tried in full.
PROBE = 3_000
WORST = 4
SECONDS = 2.0
FUNCTIONS = {"match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
FIELDS = {"PatternField", "RegexField", "RegexValidator"}
#: Where an expression is a parameter of the place that builds it, and each caller's is tried on its own.
MADE_LATER = {("governance/api/fields.py", "pattern")}
#: What none of the expressions names, and what they have to give up at.
COMMON = (
    *("a", "0", " ", "\n", "_", ".", "/", "\\", '"', "{{", "{{ ", "{", "}", "[", "]", "<", "`", "=", "&", "?", "%"),
    "\u00e9",
)
ENDS = ("", "\x00", "!\n", "}", '"')


@dataclass(frozen=True)
class Expression:
    place: str
    source: str
    pattern: Any
    methods: frozenset[str]


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def _module(path: Path) -> Any:
    base = ROOT / "sdk/python" if "sdk" in path.parts else ROOT
    if str(base) not in sys.path:
        sys.path.append(str(base))
    parts = path.relative_to(base).with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _collected() -> Iterator[Expression]:
    for path, tree in _trees():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
        names = {
            node.value: target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in calls:
            function = call.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            of_re = isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "re"
            if not (of_re and name in FUNCTIONS | {"compile"}) and name not in FIELDS:
                continue
            written = ast.unparse(call.args[0])
            place = str(path.relative_to(ROOT))
            if (place, written) in MADE_LATER:
                continue
            if of_re:
                code = compile(ast.Expression(_as_pattern(call, name)), str(path), "eval")
                methods = frozenset({name}) if name != "compile" else _uses(tree, names.get(call))
            else:
                code = compile(ast.Expression(call.args[0]), str(path), "eval")
                methods = frozenset({"search"})
            pattern = eval(code, {**vars(_module(path)), "re": re})  # noqa: S307  # our own source
            yield Expression(f"{place}:{call.lineno}", written, re.compile(pattern), methods)


def _as_pattern(call: ast.Call, name: str) -> ast.expr:
    """The call that compiles the expression, with its flags."""
    place = {"sub": 4, "subn": 4, "split": 3}.get(name, 1 if name == "compile" else 2)
    flags = [*call.args[place : place + 1], *(one.value for one in call.keywords if one.arg == "flags")]
    make = ast.Attribute(ast.Name("re", ast.Load()), "compile", ast.Load())
    return ast.fix_missing_locations(ast.copy_location(ast.Call(make, [call.args[0], *flags], []), call))


def _uses(tree: ast.Module, name: str | None) -> frozenset[str]:
    """How its module uses a compiled expression; in every way, if others do."""
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == name and node.attr in FUNCTIONS
    }
    return frozenset(used or {"search", "fullmatch"})


EXPRESSIONS = list(_collected())


def _beginnings(source: str) -> list[str]:
    """What gets an expression to where it repeats something: nothing, and what it begins with."""
    plain = re.sub(r"\\s\*|\\[a-zA-Z]|\[[^]]*\]", "\n", source).lstrip()
    literal = plain.partition("(")[0].replace("\\", "").replace("*", "")[:20]
    return list(dict.fromkeys(["", literal]))


def _units(source: str) -> list[str]:
    """What is repeated: each character that the expression names, each pair that stands in it, and what is common."""
    plain = re.sub(r"\\[a-zA-Z]|[\\^$*+?()|]", " ", source)
    named = [*dict.fromkeys(plain.replace(" ", ""))][:24]
    words = [word for word in plain.split() if len(word) < 12]
    pairs = [f"{one}{other}" for one, other in pairwise(named)]
    return list(dict.fromkeys([*COMMON, *named, *words, *pairs[:12], "?%", "=%", "a ", " a", "\n ", "a.", "a,"]))


class _TooLongError(Exception):
    pass


def _stop(signum: int, frame: FrameType | None) -> None:
    raise _TooLongError


def _within(seconds: float, work: Callable[[], Any]) -> bool:
    """Whether it was done by then, in this process's own time. The engine of expressions looks for signals."""
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        work()
    except _TooLongError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return True


def _slowest(pattern: "re.Pattern[Any]", methods: frozenset[str]) -> str | None:
    """What takes too long on a megabyte, of what takes longest on a little."""
    in_bytes = isinstance(pattern.pattern, bytes)
    source = pattern.pattern.decode("latin-1") if in_bytes else pattern.pattern

    def work(beginning: str, unit: str, end: str, method: str, size: int) -> Callable[[], None]:
        text: Any = beginning + unit * (size // len(unit)) + end
        text = text.encode("latin-1", "replace") if in_bytes else text
        return lambda: _done(pattern, method, text)

    tried = []
    for case in product(_beginnings(source), _units(source), ENDS, methods):
        began = time.process_time()
        if not _within(SECONDS, work(*case, PROBE)):
            return _told(*case)
        tried.append((time.process_time() - began, case))
    worst = (case for _, case in sorted(tried, reverse=True)[:WORST])
    return next((_told(*case) for case in worst if not _within(SECONDS, work(*case, SIZE))), None)


def _told(beginning: str, unit: str, end: str, method: str) -> str:
    return f"{method} on {beginning!r}, {unit!r} again and again, and then {end!r}"


def _done(pattern: "re.Pattern[Any]", method: str, text: Any) -> None:
    if method in ("sub", "subn"):
        getattr(pattern, method)(text[:0], text)
    elif method == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, method)(text)


@pytest.mark.parametrize("one", EXPRESSIONS, ids=lambda one: f"{one.place} {one.source[:40]}")
def test_an_expression_takes_linear_time_whatever_the_text(one: Expression) -> None:
    slowest = _slowest(one.pattern, one.methods)
    assert slowest is None, f"{one.place}: {one.source} took over {SECONDS} s: {slowest}"


def test_the_expressions_were_found() -> None:
    places = {one.place.partition(":")[0] for one in EXPRESSIONS}
    assert {"agents/transport/outbound.py", "prompts/content/rendering.py", "governance/api/fields.py"} <= places
    assert "sdk/python/promptops_client/_rendering.py" in places


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\s*```[A-Za-z]*\n(.*)\n\s*```\s*", "fullmatch"),
        (r"\{\{(.*?)\}\}", "search"),
        (r"(?i)((?:[?&](?:token|[^=&\s]*%[^=&\s]*)=)|(?:bearer\s+))[^&\s\"']+", "sub"),
        (r"(a|a)*b", "search"),
        (r"<[^>]*>", "search"),
    ],
)
def test_one_that_does_not_is_told(pattern: str, method: str) -> None:
    assert _slowest(re.compile(pattern, re.DOTALL), frozenset({method})) is not None
