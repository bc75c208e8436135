"""Runs as server-sent events (WHATWG HTML, 9.2): `delta` as it comes, at the end one `result`, or one `error`."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

from django.http import StreamingHttpResponse

#: Seconds of silence after which a comment is sent, since proxies close a connection on which nothing comes.
SILENCE = 15.0


class Events(Protocol):
    """What a stream is made of: names with data, as execution.Stream has them."""

    def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]: ...


def respond(stream: Events) -> StreamingHttpResponse:
    """The answer to a request that asked for a stream."""
    response = StreamingHttpResponse(_frames(stream), content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would keep it back until it is whole
    return response


async def _frames(stream: Events) -> AsyncIterator[bytes]:
    events = stream.events()
    waiting: asyncio.Future[tuple[str, dict[str, Any]]] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({waiting}, timeout=SILENCE)
            if not done:
                yield b": still at work\n\n"
                continue
            event, waiting = waiting, None
            try:
                name, data = event.result()
            except StopAsyncIteration:
                return
            yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})
        await events.aclose()  # type: ignore[attr-defined]  # an asynchronous generator
