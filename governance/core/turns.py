"""Turns: one thread of requests works at a time, so that the event loop need not share the interpreter with all.

Python runs one thread at a time and hands over in no order. With a hundred requests at work, the loop that answers
fetches is one of a hundred and one that want the interpreter; with a line before it, it is one of a few. A thread has
a turn while it works, and leaves it while it waits: for a model, a lock, a database server.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which the next in line goes on beside somebody who keeps the turn: not every wait is told of here.
PATIENCE = 0.1


class Turn:
    """A thread's right to work, until it gives it back or somebody went ahead."""

    def __init__(self) -> None:
        self.called = threading.Lock()
        self.called.acquire()


class Line:
    """Hands one turn on in the order of asking, to those who are `first` before the others."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._taken: Turn | None = None
        self._first: deque[Turn] = deque()
        self._others: deque[Turn] = deque()

    def take(self, *, first: bool = False) -> Turn:
        """Wait for a turn."""
        mine = Turn()
        with self._lock:
            if self._taken is None:
                self._taken = mine
                return mine
            (self._first if first else self._others).append(mine)
            before = self._taken
        while not mine.called.acquire(timeout=self._patience):
            with self._lock:
                if self._taken is before and self._waiting()[0] is mine:
                    self._call_next()
                before = self._taken
        return mine

    def give_back(self, turn: Turn) -> None:
        """Let the next one work; nothing, if that one went ahead already."""
        with self._lock:
            if self._taken is turn:
                self._call_next()

    def _waiting(self) -> deque[Turn]:
        return self._first or self._others

    def _call_next(self) -> None:
        waiting = self._waiting()
        self._taken = waiting.popleft() if waiting else None
        if self._taken is not None:
            self._taken.called.release()


_line = Line()

_of_this_thread = threading.local()


def work(task: Callable[..., T], *args: object) -> T:
    """Do `task(*args)` in a turn of this thread's."""
    turn = _of_this_thread.turn = _line.take()
    try:
        return task(*args)
    finally:
        turn, _of_this_thread.turn = _of_this_thread.turn, None
        _line.give_back(turn)


@contextmanager
def waiting(*, first: bool = False) -> Iterator[None]:
    """Leave the turn, if this thread has one, for as long as the block lasts.

    Whoever holds what others wait for, such as a lock in the database, comes back `first`.
    """
    turn = getattr(_of_this_thread, "turn", None)
    if turn is None:
        yield
        return
    _line.give_back(turn)
    _of_this_thread.turn = None
    try:
        yield
    finally:
        _of_this_thread.turn = _line.take(first=first)
