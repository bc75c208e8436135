"""One ASGI application: HTTP through Django, `/ws` through Channels, and the lifespan that starts and stops both."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
django.setup()  # first: what follows needs the app registry

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from governance.identity.credentials.token_cache import tokens  # noqa: E402
from governance.realtime import runtime  # noqa: E402
from governance.realtime.consumer import EventStream, NoSuchStream  # noqa: E402
from promptops.server.gate import BodyLimit, Lifespan  # noqa: E402
from promptops.server.handler import Handler  # noqa: E402
from promptops.server.probes import Probes  # noqa: E402
from promptops.server.protocol import Limits, limit, write_at_once  # noqa: E402
from promptops.server.subpath import under, without  # noqa: E402
from prompts.delivery.answers import Place  # noqa: E402
from prompts.delivery.catalog import catalog  # noqa: E402
from prompts.delivery.fastlane import FastLane  # noqa: E402

limit(
    Limits(
        head_bytes=settings.PROMPTOPS_MAX_HEAD_BYTES,
        headers=settings.PROMPTOPS_MAX_HEADERS,
        head_seconds=settings.PROMPTOPS_HEAD_SECONDS,
        body_seconds=settings.PROMPTOPS_BODY_SECONDS,
        write_seconds=settings.PROMPTOPS_WRITE_SECONDS,
    )
)


def load(place: Place) -> None:
    """Load an environment into the catalog, beside the request that asked for it."""
    running = runtime.running()
    if running is not None:
        running.spawn(catalog.load(place, follow=running.tail.follow, work=running.work))


def look() -> bool:
    """Have the tail look at the database now; False where there is none."""
    running = runtime.running()
    if running is not None:
        running.tail.wake()
    return running is not None


_protocols = ProtocolTypeRouter(
    {
        "http": BodyLimit(Probes(under(settings.PROMPTOPS_ROOT_PATH, Handler()))),
        "websocket": URLRouter([path("ws", EventStream.as_asgi()), re_path("", NoSuchStream.as_asgi())]),
        "lifespan": Lifespan(),
    }
)
_lane = FastLane(_protocols, catalog=catalog, tokens=tokens, load=load, look=look, write=write_at_once)
application = without(settings.PROMPTOPS_ROOT_PATH, _lane)
