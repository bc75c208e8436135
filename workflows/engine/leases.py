"""The runs that this process works on at the moment."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agents.transport.bridge import Working


@dataclass(frozen=True, slots=True)
class Held:
    """A run, the claim by which we have it, and the work."""

    run_id: uuid.UUID
    claim: int
    working: "Working[Any]"


class HeldRuns:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[uuid.UUID, Held] = {}
        self._leaving = False

    @contextmanager
    def holding(self, one: Held) -> Iterator[None]:
        with self._lock:
            self._held[one.run_id] = one
        try:
            yield
        finally:
            with self._lock:
                if self._held.get(one.run_id) is one:
                    del self._held[one.run_id]

    def all(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())

    def is_leaving(self) -> bool:
        """Whether this process is about to end: runs are left where their next step begins."""
        return self._leaving

    def leave(self) -> None:
        self._leaving = True

    def stay(self) -> None:
        self._leaving = False


held = HeldRuns()
