"""Runs as server-sent events: `delta` as it comes, at the end one `result`, or one `error`."""

from collections.abc import AsyncGenerator, Collection
from typing import Any, Protocol

from django.http import StreamingHttpResponse

from governance.access.actors import Actor
from governance.realtime import events


class Events(Protocol):
    """What a stream is made of: names with data, as execution.Stream has them; and the actor whose it is."""

    @property
    def actor(self) -> Actor: ...
    @property
    def workspaces(self) -> Collection[str]: ...
    def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]: ...
    def stop(self, why: str) -> None: ...


def respond(stream: Events) -> StreamingHttpResponse:
    """The answer to a request that asked for a stream."""
    return events.respond(stream.events(), actor=stream.actor, workspaces=stream.workspaces, ended=stream.stop)
