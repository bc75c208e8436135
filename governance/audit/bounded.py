"""Audit entries for events that anybody can repeat without end: denied writes, refused webhooks, exports.

In each process an actor has one entry a minute for each thing. Repetitions are counted, and a second entry has their
number, so that nothing is left out and the table can't be filled. The counts of the last minute are lost when the
process is killed.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction

from governance import audit
from governance.access.actors import Actor

logger = logging.getLogger("promptops.audit")

WINDOW = 60.0  # seconds

#: How many kinds of events a process counts at a time; further ones are counted together, by their action.
MOST = 2000

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Window:
    until: float
    entry: dict[str, Any]
    more: int = 0


_windows: dict[Key, _Window] = {}

_lock = threading.Lock()


def record(*, actor: Actor, action: str, what: str, **entry: Any) -> None:
    """As `audit.record`, but bounded. `what` names the thing that repetitions are counted for. Never raises.

    The entry is no part of the caller's transaction: call it where nothing else was written, or all of it was undone.
    """
    now = time.monotonic()
    entry = {"actor": actor, "action": action, **entry}
    with _lock:
        key = (actor.identity, action, what)
        if key not in _windows and len(_windows) >= MOST:
            key = ("", action, "")
        window = _windows.get(key)
        if window is not None and now < window.until:
            window.more += 1
            return
        _windows[key] = _Window(until=now + WINDOW, entry=entry)
    if window is not None:
        _write_more(window)
    _write(entry)


def settle() -> None:
    """Write the counts of the minutes that are over; servers do so every few seconds."""
    now = time.monotonic()
    with _lock:
        over = [key for key, window in _windows.items() if now >= window.until]
        windows = [_windows.pop(key) for key in over]
    for window in windows:
        _write_more(window)


def forget() -> None:
    """Begin anew; for tests."""
    with _lock:
        _windows.clear()


def _write_more(window: _Window) -> None:
    if window.more:
        times = {"old": None, "new": window.more}
        changes = {**(window.entry.get("changes") or {}), "times": times}
        _write({**window.entry, "summary": f"{window.entry['summary']} ({window.more} more)", "changes": changes})


def _write(entry: dict[str, Any]) -> None:
    try:
        with transaction.atomic():
            audit.record(**entry)
    except (DatabaseError, InterfaceError) as error:
        logger.error("no audit entry could be written of: %s: %s", entry["summary"], error)
