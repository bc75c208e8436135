"""Which processes are alive, told by those who can know.

Each process that works on runs holds a lock on a file in the data folder: the system drops it with the process, so that
on the same machine a death is known at once. Of other machines' processes the database knows (ServerProcess), within
a quarter of a minute by its own clock: those of the machines may differ.
"""

import fcntl
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from django.conf import settings

from governance.clients.connections import FORGET_AFTER
from governance.core.db import ago
from governance.core.models import ServerProcess


def _folder() -> Path:
    folder = Path(settings.DATA_DIR) / "processes"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def lock(path: Path) -> IO[bytes] | None:
    """The file, locked for as long as it is open; None when somebody else has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


class SignOfLife:
    """Held by a process from its start to its end."""

    def __init__(self, process_id: uuid.UUID) -> None:
        self._path = _folder() / str(process_id)
        self._file = lock(self._path)

    def end(self) -> None:
        self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


def dead(process_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these that are gone."""
    asked = set(process_ids)
    if not asked:
        return set()
    known = set(ServerProcess.objects.filter(pk__in=asked, seen_at__gt=ago(FORGET_AFTER)).values_list("pk", flat=True))
    return {process_id for process_id in asked if process_id not in known or _let_go(process_id)}


def _let_go(process_id: uuid.UUID) -> bool:
    """Whether that process was of this machine and is gone."""
    path = _folder() / str(process_id)
    if not path.exists():
        return False
    file = lock(path)
    if file is None:
        return False
    path.unlink(missing_ok=True)
    file.close()
    return True
