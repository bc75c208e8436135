"""Turns: one thread of requests runs at a time, so that the event loop competes with one thread and not with all.

Python runs one thread at a time and hands over in no order. With a hundred requests at work, the event loop that
answers fetches is one of a hundred and one threads that want the interpreter. With a queue in front of them it is one
of a few. A thread holds the turn while it works, and gives it back while it waits for a model, a lock or a database
server. Without turns a fetch beside a hundred runs takes two to three times as long (measured in
docs/adr/0007-model-calls-on-a-loop-of-their-own.md).
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which the next thread goes on beside the holder: not every wait in the code gives the turn back.
PATIENCE = 0.1


class Turn:
    """The right of one thread to work, until it gives it back or is overtaken."""

    def __init__(self) -> None:
        self.granted = threading.Lock()
        self.granted.acquire()


class TurnQueue:
    """Grants one turn at a time in the order of asking, to those who ask as `first` before the others.

    A thread that has waited `patience` seconds for the same holder overtakes it: then two work at once.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._holder: Turn | None = None
        self._first: deque[Turn] = deque()
        self._others: deque[Turn] = deque()

    def take(self, *, first: bool = False) -> Turn:
        """Wait for a turn."""
        turn = Turn()
        with self._lock:
            if self._holder is None:
                self._holder = turn
                return turn
            (self._first if first else self._others).append(turn)
            holder = self._holder
        while not turn.granted.acquire(timeout=self._patience):
            with self._lock:
                if self._holder is holder and self._waiting()[0] is turn:
                    self._grant_next()
                holder = self._holder
        return turn

    def give_back(self, turn: Turn) -> None:
        """Grant the next turn. Does nothing if the thread was overtaken, since the next one was granted then."""
        with self._lock:
            if self._holder is turn:
                self._grant_next()

    def _waiting(self) -> deque[Turn]:
        return self._first or self._others

    def _grant_next(self) -> None:
        waiting = self._waiting()
        self._holder = waiting.popleft() if waiting else None
        if self._holder is not None:
            self._holder.granted.release()


_queue = TurnQueue()

_of_this_thread = threading.local()


def work(task: Callable[..., T], *args: object) -> T:
    """Call `task(*args)` while this thread holds the turn, and return what it returns."""
    turn = _of_this_thread.turn = _queue.take()
    try:
        return task(*args)
    finally:
        turn, _of_this_thread.turn = _of_this_thread.turn, None
        _queue.give_back(turn)


@contextmanager
def waiting(*, first: bool = False) -> Iterator[None]:
    """Give the turn back, if this thread holds it, for as long as the block lasts.

    A thread that holds what others wait for, such as a lock in the database, comes back as `first`.
    """
    turn = getattr(_of_this_thread, "turn", None)
    if turn is None:
        yield
        return
    _queue.give_back(turn)
    _of_this_thread.turn = None
    try:
        yield
    finally:
        _of_this_thread.turn = _queue.take(first=first)
