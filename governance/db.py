"""Database work from an event loop."""

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

T = TypeVar("T")


async def on_thread(work: Callable[..., T], *args: Any) -> T:
    """Do `work(*args)` on the request's own thread, which gives its database connection back."""

    def do() -> T:
        try:
            return work(*args)
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return await sync_to_async(do)()
