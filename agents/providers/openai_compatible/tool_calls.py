"""Puts together an answer's calls of tools, which come whole or in pieces, however a provider numbers them. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

from agents.providers.protocol import ToolCall

#: How often the arguments of one call are parsed to see whether they are whole, so that the time for it stays linear.
_MAX_TRIES = 32


class NamelessError(ValueError):
    """A call that does not name its tool."""


@dataclass(slots=True)
class _PartialCall:
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


class ToolCalls:
    """The calls of tools in one answer, in their order."""

    def __init__(self) -> None:
        self._found: list[_PartialCall] = []
        self._by_index: dict[int, _PartialCall] = {}
        self._by_id: dict[str, _PartialCall] = {}

    def add(self, value: Any, *, whole: bool) -> None:
        """Take what a message has under `tool_calls`. `whole`: each is a whole call; else it may be a piece of one."""
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                continue
            function = one.get("function")
            function = function if isinstance(function, dict) else one
            identity, name, arguments = _text(one.get("id")), _text(function.get("name")), _arguments(function)
            call = None if whole else self._continued(one.get("index"), identity, name, arguments)
            if call is None:
                call = _PartialCall()
                self._found.append(call)
            call.id, call.name = call.id or identity, call.name or name
            if arguments:
                call.pieces.append(arguments)
            if isinstance(one.get("extra_content"), dict):
                call.extra = one["extra_content"]
            if type(one.get("index")) is int:
                self._by_index[one["index"]] = call
            if identity:
                self._by_id[identity] = call

    def result(self) -> list[ToolCall]:
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

    def _continued(self, index: Any, identity: str, name: str, arguments: str) -> _PartialCall | None:
        """The call that this is a further piece of; None when it begins a new one.

        Index and id decide where there are any; some providers send them only once, or the same for every call. Else a
        name begins a new call, and so does anything after the last brace of the arguments.
        """
        if identity in self._by_id:
            call = self._by_id[identity]
            repeated = arguments and name and call.is_whole()
            return None if repeated else call
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


def _arguments(function: dict[str, Any]) -> str:
    """The arguments as JSON; some providers send the object itself."""
    value = function.get("arguments")
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else ""
