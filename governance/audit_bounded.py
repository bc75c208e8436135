"""Audit entries of what anybody can cause as often as they like: denied writes, refused webhooks, exports.

Of one actor doing one thing there is one entry a minute in each process. What comes meanwhile is counted, and a second
entry tells how often it was. So the log tells of everything, and nobody can fill the table. The counts of the last
minute are lost with a process that is killed.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction

from governance import audit
from governance.actors import Actor

logger = logging.getLogger("promptops.audit")

WINDOW = 60.0  # seconds
#: So many things are told apart at a time in a process; what is beyond them is counted together, by its action.
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
    """As `audit.record`, and bounded: `what` tells things apart that the same actor does. Never raises.

    It is no part of a transaction: to be called where nothing else was written, or all of that was undone.
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
