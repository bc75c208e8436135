"""How passwords are hashed: by scrypt, a few at a time.

A hash takes a tenth of a second of a core and 16 MB. A hundred logins at once would take all of both, so they wait in
line for one of two places, and those that would wait too long are answered 503.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.hashers import ScryptPasswordHasher
from django.db import connection

from governance.core import turns
from governance.core.errors import BusyError

AT_ONCE = 2

MOST_WAITING = 64

PATIENCE = 15.0


class Slots:
    """Lets a few threads in at a time; the others wait in order. A thread that is in may enter again."""

    def __init__(self, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING, patience: float = PATIENCE) -> None:
        self._free, self._most_waiting, self._patience = at_once, most_waiting, patience
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._entered = threading.local()

    @contextmanager
    def one(self, *, first: bool = False) -> Iterator[None]:
        """Hold a place during the block. `first` goes before those who wait, for a thread that holds a database lock.

        Raises BusyError when too many wait, or the wait takes too long.
        """
        if getattr(self._entered, "here", False):
            yield
            return
        self._enter(first)
        self._entered.here = True
        try:
            yield
        finally:
            self._entered.here = False
            self._leave()

    def _enter(self, first: bool) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._most_waiting and not first:
                raise _busy()
            turn = threading.Event()
            (self._waiting.appendleft if first else self._waiting.append)(turn)
        with turns.waiting():
            called = turn.wait(self._patience)
        if called:
            return
        with self._lock:
            if turn.is_set():
                return
            self._waiting.remove(turn)
        raise _busy()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


def _busy() -> BusyError:
    return BusyError("too many logins at once: try again in a few seconds", retry_after=5)


#: This process's own.
slots = Slots()


#: Threads that do nothing else: memory that was taken for a hash is kept by the thread that took it.
_threads = ThreadPoolExecutor(AT_ONCE, "hash")


class PasswordHasher(ScryptPasswordHasher):
    def encode(self, *args: Any, **options: Any) -> str:
        with slots.one(first=connection.in_atomic_block), turns.waiting():
            return _threads.submit(super().encode, *args, **options).result()
