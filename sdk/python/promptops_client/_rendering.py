"""Fills `{{ name }}` in a text, exactly as the server does. Pure, and linear in the length of the text.

The rules are the wire contract's, section 3; tests/contract/rendering.json has their vectors. Values that JSON has no
form for (dates, decimals, UUIDs, sets) are written as `_as_json` says.
"""

import datetime
import json
import re
import uuid
from collections.abc import Mapping, Set
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from promptops_client._errors import CannotRender

#: What Unicode calls white space, written out: `\s` matches four characters more.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: ASCII letters and digits, `_`, `.`, `-`, and any character beyond ASCII that is no white space.
_NAME = rf"[^\x00-,/:-@\[-^`{{-\x7f{_SPACE}]{{1,128}}"
_VARIABLE = re.compile(rf"\{{\{{[{_SPACE}]*({_NAME})[{_SPACE}]*\}}\}}")
_NOT_THERE = object()


class Rendered(NamedTuple):
    """`text` with the values in it; `missing`: the names that had none, each once, in order of appearance; `unused`:
    the given names that the text does not ask for, in the order in which they were given."""

    text: str
    missing: tuple[str, ...]
    unused: tuple[str, ...] = ()


class Template:
    """A text taken apart once: its pieces, and which of them are variables."""

    __slots__ = ("_pieces", "_roots", "_slots", "names")

    def __init__(self, content: str) -> None:
        self._pieces: list[str] = []
        self._slots: list[tuple[int, str]] = []
        end = 0
        for match in _VARIABLE.finditer(content):
            self._pieces += (content[end : match.start()], match[0])
            self._slots.append((len(self._pieces) - 1, match[1]))
            end = match.end()
        self._pieces.append(content[end:])
        #: The variables, each once, in order of appearance.
        self.names: tuple[str, ...] = tuple(dict.fromkeys(name for _, name in self._slots))
        self._roots = [(name, name.partition(".")[0]) for name in self.names]

    def fill(self, variables: Mapping[str, Any]) -> Rendered:
        """The text with `variables` in it; what has no value stays as it is written.

        Raises CannotRender for a value that is no string and has no JSON.
        """
        text, missing = self.text(variables)
        asked = {name if name in variables else root for name, root in self._roots}
        return Rendered(text, missing, tuple(name for name in variables if name not in asked))

    def text(self, variables: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The text, and the names that had no value: what rendering needs, and nothing more."""
        pieces = self._pieces.copy()
        missing: list[str] = []
        for place, name in self._slots:
            value = variables[name] if name in variables else _walk(variables, name)
            if isinstance(value, str):
                pieces[place] = value
            elif value is _NOT_THERE:
                missing.append(name)
            else:
                pieces[place] = _as_text(name, value)
        return "".join(pieces), tuple(dict.fromkeys(missing)) if missing else ()


def _walk(variables: Mapping[str, Any], name: str) -> Any:
    """The value at the end of a path into objects."""
    value: Any = variables
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _NOT_THERE
        value = value[part]
    return value


def _as_json(value: Any) -> Any:
    """What JSON has for a value that it does not know.

    A date or time is its ISO 8601 text, a Decimal or a UUID its `str()`, a set a list in the order of its members (of
    their JSON, where they can't be compared), any other mapping an object. Raises TypeError for everything else.
    """
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, Set):
        try:
            return sorted(value, key=_to_json if any(isinstance(member, Set) for member in value) else None)
        except TypeError:
            return sorted(value, key=_to_json)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON")


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_json).encode


def _as_text(name: str, value: Any) -> str:
    """A value that is no string as it stands in a text: as JSON, and where that is a single string, without quotes."""
    try:
        if isinstance(value, datetime.date | datetime.time | Decimal | uuid.UUID):
            return str(_as_json(value))
        return _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        # A type without a JSON form, a key that is no string, an object that contains itself or is nested too deep.
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise CannotRender(name, reason) from error


@lru_cache(maxsize=4096)
def template_of(content: str) -> Template:
    return Template(content)
