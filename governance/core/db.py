"""Database work from an event loop, and while the database is away."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from asgiref.sync import sync_to_async
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from governance.core import turns

logger = logging.getLogger("promptops.db")

T = TypeVar("T")

#: Errors of a database that is away or busy: the same statement may succeed a moment later.
AWAY = (OperationalError, InterfaceError)


def conflict_of(error: IntegrityError) -> Literal["taken", "referred", "refused"]:
    """Which kind of constraint failed.

    `taken`: another row has what must be unique. `referred`: the row refers to one that is not there (any more), or is
    still referred to. `refused`: a value that no row may have, which is a fault of the code that sent it.
    """
    cause = error.__cause__
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "")
    if code in ("23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
        return "taken"
    return "referred" if code in ("23503", "SQLITE_CONSTRAINT_FOREIGNKEY") else "refused"


def ago(seconds: float) -> CombinedExpression:
    """The moment so many seconds ago by the database's clock, which is the same for every process.

    Times that processes compare with each other have to come from it: the clocks of their hosts may differ.
    """
    return Now() - timedelta(seconds=seconds)


async def on_thread(work: Callable[..., T], *args: Any) -> T:
    """Run `work(*args)` on the request's own thread, and release its database connection afterwards."""
    return await sync_to_async(turns.work)(briefly, work, *args)


def briefly(work: Callable[..., T], *args: Any) -> T:
    """Run `work(*args)` on this thread and release the connection, unless a transaction is open on it."""
    try:
        return work(*args)
    finally:
        let_go()


def let_go() -> None:
    """Release this thread's connection before a wait, unless a transaction is open on it.

    Without a pool nothing else could use it, and the thread keeps it.
    """
    if not connection.in_atomic_block and connection.settings_dict["CONN_MAX_AGE"] == 0:
        connection.close()


def later(work: Callable[..., object], *args: Any) -> None:
    """Run `work(*args)` on a thread of its own, as soon as the database can be reached again."""

    def go() -> None:
        while True:
            time.sleep(1)
            try:
                work(*args)
                return
            except AWAY:
                continue
            except Exception:
                logger.exception("what was left for later could not be done")
                return
            finally:
                connection.close()

    threading.Thread(target=go, name="later", daemon=True).start()
