"""Checks values by JSON Schemas in a process of its own, which can be ended at any moment (`schemas.py` starts it).

The package that checks does not release the interpreter until it is done, and a short schema can take hours and
gigabytes on the right value. Here nothing waits for it: beyond its processor time the system ends this process.

It is started as a script, so that it loads nothing of the server. Both ways a message is its length in four bytes and
JSON: `[seconds, schema]` or `[seconds, schema, value]`, answered with `{"seconds", "invalid"?, "problem"?}`.
"""

import contextlib
import functools
import json
import os
import resource
import signal
import socket
import time
from typing import Any

import jsonschema_rs

MEMORY = 512 * 1024 * 1024
#: Steps that one match of a pattern may take when it has to try again and again.
_STEPS = 100_000
_PROBLEMS = 5
#: Characters of a value whose problems are collected. Of a larger one only the first is, since each holds the value.
_SMALL = 20_000


def serve(line: socket.socket) -> None:
    while (request := receive(line)) is not None:
        seconds, schema, *value = request
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, seconds)  # when it is over, the system ends the process
        answer = _examine(schema, value)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(line, {**answer, "seconds": time.process_time() - started})


def receive(line: socket.socket) -> Any:
    """The next message; None when the other side is gone."""
    head = _read(line, 4)
    if not head:
        return None
    return json.loads(_read(line, int.from_bytes(head)))


def send(line: socket.socket, message: Any) -> None:
    raw = json.dumps(message).encode()
    line.sendall(len(raw).to_bytes(4) + raw)


def _read(line: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = line.recv(min(size - len(pieces), 1024 * 1024))
        if not piece:
            return b""
        pieces += piece
    return bytes(pieces)


def _examine(schema: str, value: list[Any]) -> dict[str, Any]:
    try:
        validator = _validator(schema)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        return {"invalid": _short(getattr(error, "message", str(error)))}
    try:
        return _compare(validator, value[0]) if value else {}
    except (ValueError, TypeError, OverflowError) as error:  # such as a lone surrogate, or too deep
        return {"problem": f"it can't be checked: {_short(str(error))}"}


def _compare(validator: Any, value: Any) -> dict[str, Any]:
    if validator.is_valid(value):
        return {}
    if len(json.dumps(value)) > _SMALL:
        return {"problem": _said(_first(validator, value))}
    found = []
    for error in validator.iter_errors(value):
        found.append(_said(error))
        if len(found) == _PROBLEMS:
            break
    return {"problem": "; ".join(found)}


def _first(validator: Any, value: Any) -> Any:
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return error


def _said(error: Any) -> str:
    where = "/".join(map(str, error.instance_path))
    return f"{where}: {_short(error.message)}" if where else _short(error.message)


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator(
        json.loads(schema),
        offline=True,
        validate_formats=False,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS),
    )


def _short(text: str) -> str:
    line = " ".join(text[:2000].split())
    return line if len(line) <= 300 else f"{line[:300]}…"


def _bound_memory() -> None:
    with contextlib.suppress(OSError, ValueError):  # some systems know no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _bound_memory()
    os.nice(5)  # requests go first
    serve(socket.socket(fileno=0))
