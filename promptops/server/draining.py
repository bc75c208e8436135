"""Graceful shutdown: a process reports that it is not ready, goes on serving for a while, and only then stops.

Load balancers look at /readyz every few seconds; a process that refuses connections before they have looked loses
requests.
"""

import asyncio
import logging
import signal
from types import FrameType

from django.conf import settings

logger = logging.getLogger("promptops")

_draining = False


def is_draining() -> bool:
    """Whether this process has got SIGTERM."""
    return _draining


def on_sigterm() -> None:
    """Drain before the present handler of SIGTERM runs (uvicorn's: finish requests, close sockets with 1012, stop)."""
    stop, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
    if not callable(stop):
        return

    def drain(number: int, frame: FrameType | None) -> None:
        global _draining
        if _draining:  # a second SIGTERM: stop at once
            stop(number, frame)
            return
        _draining = True
        logger.info("not ready any more; stopping in %g s", settings.PROMPTOPS_DRAIN_SECONDS)
        loop.call_soon_threadsafe(loop.call_later, settings.PROMPTOPS_DRAIN_SECONDS, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)
