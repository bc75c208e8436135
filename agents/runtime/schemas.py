"""JSON Schemas (draft 2020-12) that people write: checked when they are saved, and outputs of models checked by them.

The checks run in a process of their own, whose time and memory are bounded: `schema_worker.py` says why. It is
started with the first check, and again after one that took too much.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.runtime import schema_worker
from governance.core import turns
from governance.core.errors import InvalidInputError
from governance.core.text import whole_number

MAX_BYTES = 32 * 1024
#: Subschemas that one value may have to be compared with, references followed: a few that name each other twice can
#: come to billions.
MAX_SUBSCHEMAS = 10_000
#: Seconds of the processor that one check may take.
SECONDS = 1.0
#: Seconds by the clock after which a worker that says nothing is taken for lost, however little it had to do.
PATIENCE = 30.0


class UncheckableError(ValueError):
    """A check took more time or memory than it may. `seconds` is what it took."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problem` is what is wrong with the value, in a few sentences; None when it is valid."""

    problem: str | None
    seconds: float


class Allowance:
    """Seconds that the schemas of one save may take to be prepared, all together."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.left = seconds


def check(schema: Mapping[str, Any], *, field: str, allowance: Allowance | None = None) -> None:
    """Raise InvalidInputError, of `field`, for what is no JSON Schema that can be used here, and for one that takes
    longer to prepare than is allowed."""
    allowance = allowance or Allowance()
    text = _text_of(schema)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidInputError.of(field, f"expected at most {MAX_BYTES} bytes")
    for reference in _references(schema):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise InvalidInputError.of(field, "a $ref must be to a place in the schema itself, such as #/$defs/name")
    try:
        weight = _weight(schema, schema, {})
    except RecursionError:
        weight = MAX_SUBSCHEMAS + 1
    if weight > MAX_SUBSCHEMAS:
        raise InvalidInputError.of(field, "its references come to too many subschemas")
    if allowance.left <= 0:
        raise InvalidInputError.of(field, "expected simpler JSON Schemas: together they take too much time")
    try:
        with turns.waiting():
            answer = _asked(allowance.left, text).result()
    except UncheckableError as error:
        allowance.left = 0
        raise InvalidInputError.of(field, f"expected a simpler JSON Schema: {error}") from None
    allowance.left -= answer["seconds"]
    if "invalid" in answer:
        raise InvalidInputError.of(field, f"expected a JSON Schema: {answer['invalid']}")


async def examine(schema: Mapping[str, Any], value: Any, *, seconds: float = SECONDS) -> Verdict:
    """What `schema` says of `value`. Raises UncheckableError when that takes more than so many seconds."""
    answer = await asyncio.wrap_future(_asked(seconds, _text_of(schema), value))
    return Verdict(answer.get("problem") or answer.get("invalid"), float(answer["seconds"]))


async def problem(schema: Mapping[str, Any], value: Any) -> str | None:
    """What is wrong with `value`, or why it can't be checked, in a few sentences; None when it is valid."""
    try:
        return (await examine(schema, value)).problem
    except UncheckableError as error:
        return f"it can't be checked by the schema: {error}"


# --- the worker -------------------------------------------------------------------------------------------------


class _Worker:
    """The process that checks, and the line to it. Used by one thread."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, seconds: float, *rest: Any) -> dict[str, Any]:
        if self._line is not None and self._process is not None and self._process.poll() is not None:
            self._end()  # it was ended while it had nothing to do, which is no fault of this schema
        line = self._line or self._start()
        try:
            schema_worker.send(line, [seconds, *rest])
            answer: dict[str, Any] | None = schema_worker.receive(line)
        except OSError:  # it ended while it was spoken to, or says nothing
            answer = None
        if answer is not None:
            return answer
        raise UncheckableError(self._end(), seconds)

    def _start(self) -> socket.socket:
        ours, workers = socket.socketpair()
        with workers:
            # Its environment has the path to the packages and nothing else of this process's environment.
            self._process = subprocess.Popen(  # noqa: S603  # our own script
                [sys.executable, "-P", str(Path(schema_worker.__file__))],
                stdin=workers.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        ours.settimeout(PATIENCE)
        self._line = ours
        return ours

    def _end(self) -> str:
        """Put an end to it, and say what was wrong."""
        assert self._process is not None and self._line is not None  # noqa: S101, PT018  # it was started
        self._line.close()
        self._line = None
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        over_time = code in (-signal.SIGPROF, -signal.SIGKILL)
        return "it takes too much time" if over_time else "it takes too much memory"


_lock = threading.Lock()
_threads: tuple[int, ThreadPoolExecutor, _Worker] | None = None


def _asked(seconds: float, *rest: Any) -> "Future[dict[str, Any]]":
    """One check after the other, on a thread that does nothing but wait for the worker."""
    global _threads
    with _lock:
        if _threads is None or _threads[0] != os.getpid():  # a fork has its own
            _threads = os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="schemas"), _Worker()
        _, threads, worker = _threads
    return threads.submit(worker.ask, seconds, *rest)


# --- what is known without it -----------------------------------------------------------------------------------


def _text_of(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, sort_keys=True)


def _references(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [reference for item in node for reference in _references(item)]
    if not isinstance(node, dict):
        return []
    here = [node[name] for name in ("$ref", "$dynamicRef") if name in node]
    return here + [reference for value in node.values() for reference in _references(value)]


def _weight(node: Any, root: Any, known: dict[str, int]) -> int:
    """How many subschemas `node` has. One that refers to itself counts once: how deep it goes depends on the value."""
    if isinstance(node, list):
        return sum(_weight(item, root, known) for item in node)
    if not isinstance(node, dict):
        return 0
    total = 1 + sum(_weight(value, root, known) for name, value in node.items() if name not in ("$defs", "definitions"))
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference not in known:
            known[reference] = 1
            known[reference] = _weight(_target(root, reference), root, known)
        total += known[reference]
    return total


def _target(root: Any, reference: str) -> Any:
    node = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and (place := whole_number(name, digits=9)) is not None and place < len(node):
            node = node[place]
        else:
            return None
    return node
