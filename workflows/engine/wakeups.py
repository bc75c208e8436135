"""Says that a run changed, to whoever in this process shows runs. A hint: who misses it looks again within a second."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta

TICK = 1.0  # seconds between two looks without a hint
GAP = 0.1  # seconds between two looks with hints
#: What was written so long before the last look may have been committed after it.
OVERLAP = timedelta(seconds=5)

#: Called on whatever thread made the change, after the commit. They don't wait and don't raise.
listeners: list[Callable[[uuid.UUID], None]] = []

#: Called when some run changed in another process.
listeners_elsewhere: list[Callable[[], None]] = []


def give(run_id: uuid.UUID) -> None:
    for listener in listeners:
        listener(run_id)


def give_on() -> None:
    """Pass on a hint of another process."""
    for listener in listeners_elsewhere:
        listener()


class Bell:
    """Hints, from whatever thread, for one waiter on an event loop: of the runs that it wants to hear of."""

    def __init__(self, wants: Callable[[uuid.UUID], bool] = lambda run_id: True, *, elsewhere: bool = True) -> None:
        self._wants = wants
        self._elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def __enter__(self) -> "Bell":
        listeners.append(self._hear)
        if self._elsewhere:
            listeners_elsewhere.append(self.ring)
        return self

    def __exit__(self, *error: object) -> None:
        listeners.remove(self._hear)
        if self._elsewhere:
            listeners_elsewhere.remove(self.ring)

    def _hear(self, run_id: uuid.UUID) -> None:
        if self._wants(run_id):
            try:
                self._loop.call_soon_threadsafe(self._rung.set)
            except RuntimeError:
                pass  # the loop has ended

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within that time."""
        await asyncio.sleep(GAP)
        try:
            async with asyncio.timeout(seconds - GAP):
                await self._rung.wait()
        except TimeoutError:
            pass
        rang = self._rung.is_set()
        self._rung.clear()
        return rang
