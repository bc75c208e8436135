"""One ASGI application: HTTP through Django, `/ws` through Channels, and the lifespan that starts and stops both."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
django_application = get_asgi_application()  # first: what follows needs the app registry

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from governance.realtime.consumer import EventStream, NoSuchStream  # noqa: E402
from promptops.gate import BodyLimit, Lifespan  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(django_application),
        "websocket": URLRouter([path("ws", EventStream.as_asgi()), re_path("", NoSuchStream.as_asgi())]),
        "lifespan": Lifespan(),
    }
)
