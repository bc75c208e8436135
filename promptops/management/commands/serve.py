"""The production server: uvicorn, told what PromptOps needs of it."""

from collections.abc import Sequence
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


def uvicorn_settings(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    keep_alive: int = 5,
    proxies: Sequence[str] = (),
) -> dict[str, Any]:
    """What uvicorn.run is given beside the application. What `proxies` say of a client's address is believed."""
    return {
        "host": host,
        "port": port,
        "workers": workers,
        "http": "promptops.server.protocol:HttpProtocol",
        "ws": "governance.realtime.wire:StreamProtocol",
        "ws_ping_interval": 20,
        "ws_ping_timeout": None,  # a client that never answers a ping is not dropped for that
        "ws_per_message_deflate": False,  # it costs memory for each socket; clients that offer it go without
        "ws_max_size": 64 * 1024,  # clients have nothing to say
        "lifespan": "on",
        "forwarded_allow_ips": list(proxies),
        "access_log": False,
        "log_config": None,  # settings.LOGGING, which keeps tokens out
        "timeout_keep_alive": keep_alive,
        "timeout_graceful_shutdown": 10,
        "server_header": False,
        "backlog": 4096,  # a burst of reconnects after a restart
    }


def allow_many_files() -> None:
    """A socket is a file: the usual 1,024 that a process may have open would end long before PROMPTOPS_MAX_SOCKETS."""
    try:
        import resource  # not on every system
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.PROMPTOPS_MAX_SOCKETS + 1024
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Command(BaseCommand):
    help = "Serve HTTP and WebSockets. Waits for nothing: it is ready when it says so at /readyz."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.PROMPTOPS_HOST)
        parser.add_argument("--port", type=int, default=settings.PROMPTOPS_PORT)
        parser.add_argument("--workers", type=int, default=1, help="processes; changes reach all through the database")

    def handle(self, *args: Any, **options: Any) -> None:
        allow_many_files()
        told = uvicorn_settings(
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            keep_alive=settings.PROMPTOPS_KEEPALIVE_SECONDS,
            proxies=settings.PROMPTOPS_TRUSTED_PROXIES,
        )
        uvicorn.run("promptops.asgi:application", **told)
