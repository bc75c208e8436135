"""Server-sent events (WHATWG HTML, 9.2): how they are written, how they are read, and answers that are streams of them.

An answer's stream ends when the credential that opened it ends.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from typing import Any, NamedTuple

from django.http import StreamingHttpResponse

from governance.access.actors import Actor
from governance.realtime import protocol
from governance.realtime.runtime import holding

#: Seconds of silence after which a comment is sent, because proxies close a connection on which nothing comes. The
#: first comment comes at once when there is no event yet: some proxies pass on headers only with bytes of the body.
SILENCE, AT_FIRST = 10.0, 0.1
COMMENT = b": still at work\n\n"
WHY = {
    protocol.CREDENTIAL_REVOKED: "this credential was revoked, or has expired",
    protocol.NOT_ALLOWED_THERE: "this credential may not see this any more",
    protocol.RESYNC_NEEDED: "this credential's role changed: ask again",
}

#: An event to be sent: its name and its data, or an event that is encoded already.
Event = tuple[str, Any] | bytes

_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


def encode(name: str, data: Any) -> bytes:
    """The event as it is sent, with its data as JSON. An empty name is left out."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def respond(
    events: AsyncGenerator[Event, None],
    *,
    actor: Actor,
    workspaces: Collection[str],
    on_revoked: Callable[[str], None] = lambda reason: None,
) -> StreamingHttpResponse:
    """An answer that sends the events.

    It ends early when `actor`'s credential is revoked or may not see one of the `workspaces` any more; `on_revoked` is
    then called with the reason.
    """
    frames = _frames(events, actor, workspaces, on_revoked)
    response = StreamingHttpResponse(frames, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would keep the answer back until it is whole
    return response


async def _frames(
    events: AsyncGenerator[Event, None], actor: Actor, workspaces: Collection[str], on_revoked: Callable[[str], None]
) -> AsyncIterator[bytes]:
    coming: asyncio.Future[Event] | None = None
    silence = AT_FIRST
    async with holding(actor, workspaces) as credential:
        closed = asyncio.ensure_future(credential.closed.wait())
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(events))
                both: set[asyncio.Future[Any]] = {coming, closed}
                await asyncio.wait(both, timeout=silence, return_when=asyncio.FIRST_COMPLETED)
                silence = SILENCE
                if closed.done():
                    reason = WHY[credential.close_code or protocol.CREDENTIAL_REVOKED]
                    on_revoked(reason)
                    yield encode("error", {"error": reason, "code": "unauthorized"})
                    return
                if not coming.done():
                    yield COMMENT
                    continue
                done, coming = coming, None
                try:
                    event = done.result()
                except StopAsyncIteration:
                    return
                yield event if isinstance(event, bytes) else encode(*event)
        finally:
            closed.cancel()
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})
            await events.aclose()


# --- reading ----------------------------------------------------------------------------------------------------


class Received(NamedTuple):
    """An event that came. `name` is empty when it has none."""

    name: str
    data: str


def are_events(beginning: bytes) -> bool | None:
    """Whether a body that begins so is a stream of events; None when more of it has to be seen."""
    head = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_BEGINNINGS):
        return True
    return None if any(one.startswith(head) for one in _BEGINNINGS) else False


class Decoder:
    """Reads events out of bytes as they come, in time that is linear in the bytes.

    Lines end with CR LF, LF or CR; CR and LF may come in two pieces.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._after_return = False
        self._begun = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Received]:
        """The events that are whole with this piece. Raises UnicodeDecodeError for what is no UTF-8."""
        if self._after_return and piece:
            piece, self._after_return = piece.removeprefix(b"\n"), False
        for line in piece.splitlines(keepends=True):
            self._line.append(line)
            if line.endswith((b"\n", b"\r")):
                self._after_return = line.endswith(b"\r")
                yield from self._end_line()

    def end(self) -> Iterator[Received]:
        """The last event, which some servers don't end with an empty line."""
        yield from self._end_line()
        yield from self._end_event()

    def _end_line(self) -> Iterator[Received]:
        line = b"".join(self._line).rstrip(b"\r\n").decode()
        self._line.clear()
        if not self._begun:
            self._begun, line = True, line.removeprefix("\ufeff")
        if not line:
            yield from self._end_event()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value

    def _end_event(self) -> Iterator[Received]:
        if self._data:
            yield Received(self._name, "\n".join(self._data))
        self._name = ""
        self._data.clear()
