"""One ASGI application: HTTP through Django, `/ws` through Channels, and the lifespan that starts and stops both."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
django.setup()  # first: what follows needs the app registry

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from governance.realtime import runtime  # noqa: E402
from governance.realtime.consumer import EventStream, NoSuchStream  # noqa: E402
from governance.token_cache import tokens  # noqa: E402
from promptops.gate import BodyLimit, Lifespan  # noqa: E402
from promptops.handler import Handler  # noqa: E402
from promptops.server import write_at_once  # noqa: E402
from prompts.catalog import catalog  # noqa: E402
from prompts.fastlane import FastLane  # noqa: E402


def load(workspace_id: str, env: str) -> None:
    """Bring a place into the catalog beside the request that asked for it."""
    running = runtime.running()
    if running is not None:
        running.spawn(catalog.load(workspace_id, env, follow=running.tail.follow, work=running.work))


def look() -> bool:
    """Have the tail look at the database now; False where there is none."""
    running = runtime.running()
    if running is not None:
        running.tail.wake()
    return running is not None


_protocols = ProtocolTypeRouter(
    {
        "http": BodyLimit(Handler()),
        "websocket": URLRouter([path("ws", EventStream.as_asgi()), re_path("", NoSuchStream.as_asgi())]),
        "lifespan": Lifespan(),
    }
)
application = FastLane(_protocols, catalog=catalog, tokens=tokens, load=load, look=look, write=write_at_once)
