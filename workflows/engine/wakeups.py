"""Wake-ups: they say that a run changed, and no more.

What changed is read from the rows. A wake-up may be lost: who waits for one looks again within a second anyway.
"""

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta

from workflows.models import RunState

TICK = 1.0  # seconds between two looks without a wake-up
GAP = 0.1  # seconds between two looks with wake-ups
#: What was written so long before the last look may have been committed after it.
OVERLAP = timedelta(seconds=5)

#: Called after a commit that changed a run or an attempt at a step, on the thread that made it. They neither wait nor
#: raise.
listeners: list[Callable[[uuid.UUID], None]] = []

#: Called in the same way, before the others, when a transition brought a run into another state.
state_listeners: list[Callable[[RunState], None]] = []

#: Called when some run changed in another process.
remote_listeners: list[Callable[[], None]] = []


def notify(run_id: uuid.UUID, state: RunState | None = None) -> None:
    """Tell the listeners that a run changed; `state` is the one that it came into, if that is what changed."""
    if state is not None:
        for state_listener in state_listeners:
            state_listener(state)
    for listener in listeners:
        listener(run_id)


def notify_remote() -> None:
    """Pass on a wake-up of another process."""
    for listener in remote_listeners:
        listener()


class Notifier:
    """Wakes one waiter on an event loop when a run changed that it `wants` to know of, on whatever thread."""

    def __init__(self, wants: Callable[[uuid.UUID], bool] = lambda run_id: True, *, remote: bool = True) -> None:
        self._wants = wants
        self._remote = remote
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def __enter__(self) -> "Notifier":
        listeners.append(self._on_change)
        if self._remote:
            remote_listeners.append(self.wake)
        return self

    def __exit__(self, *error: object) -> None:
        listeners.remove(self._on_change)
        if self._remote:
            remote_listeners.remove(self.wake)

    def _on_change(self, run_id: uuid.UUID) -> None:
        if self._wants(run_id):
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:
                pass  # the loop has ended

    def wake(self) -> None:
        """On the event loop's thread."""
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for a wake-up, at most so many seconds; whether there was one."""
        await asyncio.sleep(GAP)
        try:
            async with asyncio.timeout(seconds - GAP):
                await self._woken.wait()
        except TimeoutError:
            pass
        woken = self._woken.is_set()
        self._woken.clear()
        return woken
