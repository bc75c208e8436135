"""Fills `{{ name }}` in a text, exactly as the server does. Pure, and linear in the length of the text.

The rules are the wire contract's, section 3; tests/contract/rendering.json holds their vectors.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_.]+)\s*\}\}")
_NOT_THERE = object()
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Rendered(NamedTuple):
    """`text` with the values in it, and the names that had none, each once, in order of appearance."""

    text: str
    missing: tuple[str, ...]


class Template:
    """A text taken apart once: its pieces, and which of them are variables."""

    __slots__ = ("_pieces", "_slots", "names")

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

    def fill(self, variables: Mapping[str, Any]) -> Rendered:
        """The text with `variables` in it; what has no value stays as it is written.

        Raises TypeError for a value that is no string and has no JSON.
        """
        pieces = self._pieces.copy()
        missing: list[str] = []
        for place, name in self._slots:
            value = variables[name] if name in variables else _walk(variables, name)
            if isinstance(value, str):
                pieces[place] = value
            elif value is _NOT_THERE:
                missing.append(name)
            else:
                pieces[place] = _to_json(value)
        return Rendered("".join(pieces), tuple(dict.fromkeys(missing)) if missing else ())


def _walk(variables: Mapping[str, Any], name: str) -> Any:
    """The value at the end of a path into objects."""
    value: Any = variables
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _NOT_THERE
        value = value[part]
    return value


@lru_cache(maxsize=4096)
def template_of(content: str) -> Template:
    return Template(content)
