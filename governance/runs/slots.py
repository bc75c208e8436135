"""Limits how many runs the requests of this process wait for at once: for each credential, and in all.

A run that waits for a model, a tool or a step occupies a thread, or the memory of a stream, for as long as the provider
takes. Every request that starts runs takes a slot for each before anything is written, and keeps it until the work is
over: also when the client has gone, and when the request was answered and the run goes on. The pool of request threads
has a thread for each slot beside those for all other requests (promptops/server/handler.py), so that these never wait
for a run.
"""

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from django.conf import settings

from governance.access.actors import Actor
from governance.core.errors import TooManyRunsError

#: Seconds after which a refused client may try again.
RETRY_AFTER = 2

_lock = threading.Lock()

#: How many slots each credential has taken.
_taken: Counter[str] = Counter()


class Slots:
    """Slots of one credential, to be given back once: at the end of a `with` block, or when the work is over."""

    def __init__(self, owner: str, count: int) -> None:
        self._owner = owner
        self._count = count

    def give_back(self) -> None:
        """Release them. On any thread; a second call does nothing."""
        with _lock:
            count, self._count = self._count, 0
            _taken[self._owner] -= count
            if _taken[self._owner] <= 0:
                del _taken[self._owner]

    def keep_until(self, when_done: Callable[[Callable[[], None]], None]) -> None:
        """Give them back when the work is over, not at the end of the block.

        `when_done` is called with the function that gives them back, and has to call that one when the work is over.
        """
        moved = Slots(self._owner, self._count)
        self._count = 0
        when_done(moved.give_back)

    def __enter__(self) -> "Slots":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_back()


def take(actor: Actor, count: int = 1) -> Slots:
    """Take slots for `count` runs of this actor. Raises TooManyRunsError when there are not so many left."""
    owner = actor.identity  # all sessions of a user together
    of_one, in_all = settings.PROMPTOPS_MAX_RUNS_PER_TOKEN, settings.PROMPTOPS_MAX_RUNS
    with _lock:
        if _taken[owner] + count > of_one:
            raise TooManyRunsError(
                f"at most {of_one} runs of one credential can be waited for at once: wait for one to end",
                retry_after=RETRY_AFTER,
            )
        if _taken.total() + count > in_all:
            raise TooManyRunsError(
                f"at most {in_all} runs can be waited for at once here: try again in a moment", retry_after=RETRY_AFTER
            )
        _taken[owner] += count
    return Slots(owner, count)


def taken() -> int:
    """How many slots are taken in this process."""
    with _lock:
        return _taken.total()
