"""The CPU time that all expressions of one run may take together: its paths, conditions and JSON Schemas.

Editors write them, and any of them can be made to run for ever on the right value. So they are evaluated on a thread
beside the event loop, one after the other, and stopped when the time of the run is used up.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings

from agents.runtime import schemas
from governance.core.errors import DomainError
from workflows.language.paths import Clock, TooMuchError

T = TypeVar("T")

#: Seconds of CPU time for one expression.
SECONDS = 1.0


class RunLimitError(DomainError):
    """A run used more CPU time for expressions than it may."""

    status = 502
    code = "run_limit"


class Budget:
    """The CPU time that a run has left for expressions: `left`, in seconds."""

    def __init__(self, seconds: float | None = None) -> None:
        self._whole: float = settings.PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS if seconds is None else seconds
        self.left = self._whole

    async def compute(self, work: Callable[[Clock], T]) -> T:
        """The result of `work(clock)`, which has to check the clock now and then.

        Raises TooMuchError when it takes too long, RunLimitError when the run has no time left.
        """
        return await asyncio.get_running_loop().run_in_executor(_thread(), self._measured, work)

    async def examine(self, schema: Mapping[str, Any], value: Any) -> str | None:
        """What is wrong with `value` by a JSON Schema; None if it is valid.

        Raises schemas.UncheckableError when it can't be checked, RunLimitError when the run has no time left.
        """
        self._refuse_if_spent()
        try:
            verdict = await schemas.examine(schema, value, seconds=min(self.left, schemas.SECONDS))
        except schemas.UncheckableError as error:
            self.left -= error.seconds
            self._refuse_if_spent()
            raise
        self.left -= verdict.seconds
        return verdict.problem

    def _measured(self, work: Callable[[Clock], T]) -> T:
        self._refuse_if_spent()
        started = time.thread_time()
        try:
            return work(Clock(min(self.left, SECONDS)))
        except TooMuchError:
            if time.thread_time() - started >= self.left:
                raise self._spent() from None
            raise
        finally:
            self.left -= time.thread_time() - started

    def _refuse_if_spent(self) -> None:
        if self.left <= 0:
            raise self._spent()

    def _spent(self) -> RunLimitError:
        return RunLimitError(f"the paths, conditions and schemas of a run may take {self._whole:g} seconds in all")


_lock = threading.Lock()
_threads: tuple[int, ThreadPoolExecutor] | None = None


def _thread() -> ThreadPoolExecutor:
    """The one thread of this process that evaluates expressions, so that they slow down nothing else by more."""
    global _threads
    with _lock:
        if _threads is None or _threads[0] != os.getpid():  # a fork has its own
            _threads = os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="expressions")
        return _threads[1]
