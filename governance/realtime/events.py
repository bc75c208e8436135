"""Answers that are streams of server-sent events (WHATWG HTML, 9.2). They end with the credential that opened them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from typing import Any

from django.http import StreamingHttpResponse

from governance.access.actors import Actor
from governance.realtime.frames import CloseCode
from governance.realtime.runtime import holding

#: Seconds of silence after which a comment is sent, since proxies close a connection on which nothing comes. The first
#: one comes at once when there is no event yet: some proxies pass on headers only with the first bytes of a body.
SILENCE, AT_FIRST = 10.0, 0.1
COMMENT = b": still at work\n\n"
REASONS = {
    CloseCode.CREDENTIAL_REVOKED: "this credential was revoked, or has expired",
    CloseCode.NOT_ALLOWED_THERE: "this credential may not see this any more",
    CloseCode.RESYNC_NEEDED: "this credential's role changed: ask again",
}

#: An event by name and data, or one that is encoded already.
Event = tuple[str, Any] | bytes


def encode(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def respond(
    events: AsyncGenerator[Event, None],
    *,
    actor: Actor,
    workspaces: Collection[str],
    ended: Callable[[str], None] = lambda reason: None,
) -> StreamingHttpResponse:
    """The events as an answer. `ended` is called with the reason when the credential ends before them."""
    frames = _frames(events, actor, workspaces, ended)
    response = StreamingHttpResponse(frames, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would keep it back until it is whole
    return response


async def _frames(
    events: AsyncGenerator[Event, None], actor: Actor, workspaces: Collection[str], ended: Callable[[str], None]
) -> AsyncIterator[bytes]:
    waiting: asyncio.Future[Event] | None = None
    silence = AT_FIRST
    async with holding(actor, workspaces) as answer:
        closed = asyncio.ensure_future(answer.closed.wait())
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(events))
                both: set[asyncio.Future[Any]] = {waiting, closed}
                await asyncio.wait(both, timeout=silence, return_when=asyncio.FIRST_COMPLETED)
                silence = SILENCE
                if closed.done():
                    reason = REASONS[answer.close_code or CloseCode.CREDENTIAL_REVOKED]
                    ended(reason)
                    yield encode("error", {"error": reason, "code": "unauthorized"})
                    return
                if not waiting.done():
                    yield COMMENT
                    continue
                done, waiting = waiting, None
                try:
                    event = done.result()
                except StopAsyncIteration:
                    return
                yield event if isinstance(event, bytes) else encode(*event)
        finally:
            closed.cancel()
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait({waiting})
            await events.aclose()
