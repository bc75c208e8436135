"""When the copy of an environment on disk is read and written, and what is in it."""

import logging
import math
import time
from pathlib import Path

from promptops_client._cache import disk
from promptops_client._cache.pins import Pins
from promptops_client._cache.store import Store

logger = logging.getLogger("promptops_client")


class DiskCopy:
    """The last state of an environment that was known to be good. Without a path, nothing is read or written.

    due_at: the monotonic time at which it is to be written; infinite while nothing changed since the last time.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.due_at = math.inf

    @property
    def due(self) -> bool:
        return time.monotonic() >= self.due_at

    def schedule(self, delay: float = 0.0) -> None:
        """Have it written within `delay` seconds; sooner, if that was planned already."""
        self.due_at = min(self.due_at, time.monotonic() + delay)

    def read(self) -> tuple[Store, Pins] | None:
        """What was written last; None when there is no file, or none that can be understood."""
        saved = disk.read(self._path) if self._path is not None else None
        if saved is None:
            return None
        try:
            return Store.load(saved["store"]), Pins.of_documents(saved["pins"])
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("the copy of prompts in %s makes no sense: %r", self._path, error)
            return None

    def write(self, store: Store, pins: Pins) -> None:
        """Write the state that the server confirmed. A disk that refuses it is logged, and changes nothing else."""
        self.due_at = math.inf
        if self._path is None or not store.loaded:
            return
        try:
            disk.write(self._path, {"pins": pins.documents(), "store": store.dump()})
        except OSError as error:
            logger.warning("could not keep a copy of prompts in %s: %s", self._path, error)
