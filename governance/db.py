"""Database work from an event loop."""

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

from governance import turns

T = TypeVar("T")


async def on_thread(work: Callable[..., T], *args: Any) -> T:
    """Do `work(*args)` on the request's own thread, which gives its database connection back."""

    return await sync_to_async(turns.work)(briefly, work, *args)


def briefly(work: Callable[..., T], *args: Any) -> T:
    """Do `work(*args)` here and give the connection back, unless a transaction is open on it."""
    try:
        return work(*args)
    finally:
        let_go()


def let_go() -> None:
    """Give this thread's connection back before a wait, unless a transaction is open on it.

    Where there is no pool nobody else could use it, and the thread keeps it.
    """
    if not connection.in_atomic_block and connection.settings_dict["CONN_MAX_AGE"] == 0:
        connection.close()
