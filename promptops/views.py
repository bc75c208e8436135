"""The server's own endpoints: is it alive, is it ready, and what to say to an address that there is none of."""

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse

from governance import turns
from governance.api.viewsets import ApiView
from governance.errors import NotFoundError
from promptops import __version__
from promptops.draining import is_draining
from workflows import keeper

logger = logging.getLogger("promptops.ready")


def livez(request: HttpRequest) -> JsonResponse:
    """The process answers. Depends on nothing else."""
    return JsonResponse({"status": "ok"})


def health(request: HttpRequest) -> JsonResponse:
    """For people and simple monitors."""
    return JsonResponse({"status": "ok", "version": __version__})


def readyz(request: HttpRequest) -> JsonResponse:
    """Whether to send requests here: 503 without the database; without Redis it works, and says that it is degraded."""
    if is_draining():
        return JsonResponse({"status": "stopping", "checks": {}}, status=503, headers={"Retry-After": "1"})
    checks = {"database": _database(), "redis": _redis()}
    if checks["database"] == "ok":
        checks["workflows"] = _workflows()
    ready = checks["database"] == "ok"
    status = "degraded" if degraded(checks) else "ok"
    body = {"status": status if ready else "unavailable", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503, headers={} if ready else {"Retry-After": "1"})


def degraded(checks: dict[str, str] | None = None) -> dict[str, str]:
    """The parts that are not as they should be, and what that means; by `checks`, or as it is now."""
    states = checks if checks is not None else {"redis": _redis()}
    return {part: state for part, state in states.items() if state not in {"ok", "not configured"}}


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        logger.warning("database: %s", error)
        connection.close()
        return "down"
    return "ok"


def _redis() -> str:
    if not settings.REDIS_URL:
        return "not configured"
    layer = get_channel_layer()
    try:
        with turns.waiting():
            async_to_sync(_ping)(layer)
    except Exception as error:
        logger.warning("redis: %s", error)
        return "down: changes reach other processes with a delay of up to a second"
    return "ok"


def _workflows() -> str:
    return "queued runs wait, and no worker takes them" if keeper.without_a_worker() else "ok"


async def _ping(layer: Any) -> None:
    import asyncio  # here and nowhere else

    async with asyncio.timeout(1):
        await layer.group_send("promptops.ready", {"type": "ping"})


class NoSuchEndpoint(ApiView):
    """Any other address under /api: for who is logged in 404, in JSON like all the rest."""

    http_method_names = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise NotFoundError
