"""Limits how many runs the requests of this process wait for at once: for each credential, and in all.

A run that waits for a model, a tool or a step costs a thread, or a stream's memory, for as long as its provider likes.
Every run takes a slot here before anything is written, and releases it when the work is over: also when the client has
gone, and when the request was answered and the run continues. The pool of request threads has a thread for each slot
beside those for all other requests (promptops/server/handler.py), so that these never wait for a run.
"""

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from django.conf import settings

from governance.access.actors import Actor
from governance.core.errors import TooManyRunsError

#: Seconds after which it is worth to ask again.
RETRY_AFTER = 2

_lock = threading.Lock()

_taken: Counter[str] = Counter()


class RunSlots:
    """Slots of one credential, released once: at the end of a `with` block, or when the work is over."""

    def __init__(self, holder: str, count: int) -> None:
        self._holder = holder
        self._count = count

    def give_back(self) -> None:
        """Release them. On any thread; a second call does nothing."""
        with _lock:
            count, self._count = self._count, 0
            _taken[self._holder] -= count
            if _taken[self._holder] <= 0:
                del _taken[self._holder]

    def keep_until(self, when_done: Callable[[Callable[[], None]], None]) -> None:
        """Release them when the work is over, not at the block's end: `when_done` gets the function to call."""
        slots = RunSlots(self._holder, self._count)
        self._count = 0
        when_done(slots.give_back)

    def __enter__(self) -> "RunSlots":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_back()


def take(actor: Actor, count: int = 1) -> RunSlots:
    """Slots for `count` runs of this actor. Raises TooManyRunsError when so many are not free."""
    holder = actor.identity  # all sessions of a user together
    of_one, in_all = settings.PROMPTOPS_MAX_RUNS_PER_TOKEN, settings.PROMPTOPS_MAX_RUNS
    with _lock:
        if _taken[holder] + count > of_one:
            raise TooManyRunsError(
                f"at most {of_one} runs of one credential can be waited for at once: wait for one to end",
                retry_after=RETRY_AFTER,
            )
        if _taken.total() + count > in_all:
            raise TooManyRunsError(
                f"at most {in_all} runs can be waited for at once here: try again in a moment", retry_after=RETRY_AFTER
            )
        _taken[holder] += count
    return RunSlots(holder, count)


def taken() -> int:
    """How many slots are taken in this process."""
    with _lock:
        return _taken.total()
