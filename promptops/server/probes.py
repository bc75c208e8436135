"""Liveness and readiness probes, answered on the event loop, so that no probe waits for other requests.

Probes come from load balancers and orchestrators, which know the process by its address: any Host is fine.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from governance.core import turns
from governance.realtime.tail import leave_the_pool
from promptops import __version__
from promptops.server.draining import is_draining
from promptops.server.gate import Application, Receive, Scope, Send, error_body, send_json
from workflows.engine import supervisor

logger = logging.getLogger("promptops.ready")

#: Seconds after which a part that has not answered counts as down.
PATIENCE = 2.0
#: Seconds for which an answer is remembered: however often it is asked for, it is looked up a few times a second.
REMEMBERED = 0.25

DOWN = "down"
REDIS_DOWN = "down: changes reach other processes with a delay of up to a second"


class Probes:
    """An ASGI application before another, for /livez, /readyz and /health."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._thread = ThreadPoolExecutor(1, "ready", initializer=leave_the_pool)
        self._database = Look(self._ask_database, otherwise={"database": DOWN})
        self._redis = Look(_ask_redis, otherwise={"redis": REDIS_DOWN})
        self._answers: dict[str, Callable[[], Awaitable[tuple[int, dict[str, Any]]]]] = {
            "/livez": _alive,
            "/health": _health,
            "/readyz": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answers.get(scope["path"])
        if answer is None:
            await self._application(scope, receive, send)
            return
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass  # for the limit of a body to be met here too
        if scope["method"] not in {"GET", "HEAD"}:
            refusal = error_body(scope, f'Method "{scope["method"]}" not allowed.', "method_not_allowed")
            await send_json(scope, send, 405, refusal, (b"allow", b"GET, HEAD"))
            return
        status, content = await answer()
        again = [(b"retry-after", b"1")] if status == 503 else []
        await send_json(scope, send, status, content, (b"cache-control", b"no-store"), *again)

    async def _ready(self) -> tuple[int, dict[str, Any]]:
        """Whether to send requests here: 503 without the database; without Redis it works, and says it is degraded."""
        if is_draining():
            return 503, {"status": "stopping", "checks": {}}
        database, redis = await asyncio.gather(self._database(), self._redis())
        checks = {"database": database["database"], **redis, **database}
        if checks["database"] != "ok":
            return 503, {"status": "unavailable", "checks": checks}
        return 200, {"status": "degraded" if degraded(checks) else "ok", "checks": checks}

    async def _ask_database(self) -> dict[str, str]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _database)


class Look:
    """A question that is asked once for all probes that wait at the same time.

    While it stays without an answer it is not asked again: all probes get `otherwise` until it is over.
    """

    def __init__(self, ask: Callable[[], Awaitable[dict[str, str]]], *, otherwise: dict[str, str]) -> None:
        self._ask = ask
        self._otherwise = otherwise
        self._known = otherwise
        self._known_until = self._began = 0.0
        self._asking: asyncio.Future[dict[str, str]] | None = None

    async def __call__(self) -> dict[str, str]:
        now = monotonic()
        if now < self._known_until:
            return self._known
        if self._asking is None:
            self._began = now
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._learn)
        done, _ = await asyncio.wait({self._asking}, timeout=max(0.0, self._began + PATIENCE - now))
        return self._known if done else self._otherwise

    def _learn(self, asked: "asyncio.Future[dict[str, str]]") -> None:
        self._asking = None
        if asked.cancelled() or asked.exception() is not None:
            self._known = self._otherwise
        else:
            self._known = asked.result()
        self._known_until = monotonic() + REMEMBERED


async def _alive() -> tuple[int, dict[str, Any]]:
    """The process answers. Depends on nothing else."""
    return 200, {"status": "ok"}


async def _health() -> tuple[int, dict[str, Any]]:
    """For users and simple monitors."""
    return 200, {"status": "ok", "version": __version__}


def degraded(checks: dict[str, str] | None = None) -> dict[str, str]:
    """The parts that are not as they should be, and what that means; by `checks`, or as it is now."""
    if checks is None:
        with turns.waiting():
            checks = async_to_sync(_ask_redis)()
    return {part: state for part, state in checks.items() if state not in {"ok", "not configured"}}


def _database() -> dict[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        waits = supervisor.without_a_worker()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("database: %s", error)
        connection.close()
        return {"database": DOWN}
    return {"database": "ok", "workflows": "queued runs wait, and no worker takes them" if waits else "ok"}


async def _ask_redis() -> dict[str, str]:
    if not settings.REDIS_URL:
        return {"redis": "not configured"}
    layer = get_channel_layer()
    try:
        async with asyncio.timeout(1):
            await layer.group_send("promptops.ready", {"type": "ping"})
    except Exception as error:
        logger.warning("redis: %s", error)
        return {"redis": REDIS_DOWN}
    return {"redis": "ok"}
