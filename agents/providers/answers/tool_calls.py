"""Calls of tools as models ask for them, whole or piece by piece, however a provider numbers them: pure."""

import json
from dataclasses import dataclass, field
from typing import Any

from agents.providers.protocol import ToolCall

#: How often it is tried whether the arguments of a call are whole, so that the time for it stays linear.
_MAX_TRIES = 32


class NamelessError(ValueError):
    """A call of a tool that does not say which."""


@dataclass(slots=True)
class _Wish:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    extra: dict[str, Any] | None = None
    tries: int = 0

    def is_whole(self) -> bool:
        """Whether its arguments are an object from the first brace to the last."""
        if self.tries == _MAX_TRIES or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        self.tries += 1
        try:
            return isinstance(json.loads("".join(self.pieces)), dict)
        except (ValueError, RecursionError):
            return False


class Wishes:
    """The calls that one answer asks for, in their order."""

    def __init__(self) -> None:
        self._found: list[_Wish] = []
        self._by_index: dict[int, _Wish] = {}
        self._by_id: dict[str, _Wish] = {}

    def add(self, told: Any, *, whole: bool) -> None:
        """Take what a message has under `tool_calls`. `whole`: each is a call of its own, else it may be a piece."""
        for one in told if isinstance(told, list) else [told]:
            if not isinstance(one, dict):
                continue
            asked = one.get("function")
            asked = asked if isinstance(asked, dict) else one
            identity, name, arguments = _text(one.get("id")), _text(asked.get("name")), _arguments(asked)
            wish = _Wish() if whole else self._wish(one.get("index"), identity, name, arguments)
            if wish is None or whole:
                wish = wish or _Wish()
                self._found.append(wish)
            wish.id, wish.name = wish.id or identity, wish.name or name
            if arguments:
                wish.pieces.append(arguments)
            if isinstance(one.get("extra_content"), dict):
                wish.extra = one["extra_content"]
            if type(one.get("index")) is int:
                self._by_index[one["index"]] = wish
            if identity:
                self._by_id[identity] = wish

    def taken(self) -> list[ToolCall]:
        """The calls, each with an id of its own. Raises NamelessError for one that does not name its tool."""
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for place, one in enumerate(self._found):
            arguments = "".join(one.pieces)
            if not one.name:
                if arguments:
                    raise NamelessError("it called a tool without naming it")
                continue
            identity = one.id or f"call_{place}"
            identity = f"{identity}_{place}" if identity in ids else identity
            ids.add(identity)
            calls.append(ToolCall(id=identity, name=one.name, arguments=arguments, extra=one.extra))
        return calls

    def __bool__(self) -> bool:
        return bool(self._found)

    def _wish(self, index: Any, identity: str, name: str, arguments: str) -> _Wish | None:
        """Which call this is a piece of; None for a new one.

        It is told by index and id where there are any, which some providers give only once, or give every call alike;
        else by the name, which begins a call, and by the arguments, after whose last brace nothing of it follows.
        """
        if identity in self._by_id:
            wish = self._by_id[identity]
            again = arguments and name and wish.is_whole()
            return None if again else wish
        by_index = self._by_index.get(index) if type(index) is int else None
        if type(index) is int and by_index is None:
            return None
        found = by_index or (self._found[-1] if self._found else None)
        if found is None or (identity and found.id):
            return None
        if name and found.name and (name != found.name or found.is_whole()):
            return None
        return found


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _arguments(asked: dict[str, Any]) -> str:
    """As JSON: some send the object itself."""
    value = asked.get("arguments")
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else ""
