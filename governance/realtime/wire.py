"""A shorter way to a client: a frame's bytes are made once and written to every socket as they are.

ASGI takes a text for each socket, of which the server makes a frame anew, in a task that has to be woken first. For two
thousand sockets that is most of what a change costs, and a snapshot would be in memory once for each of them.
"""

import contextlib
import functools
import socket
from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

#: What the kernel takes from us for a client before that one has room for it. Left alone it takes megabytes.
UNSENT_BYTES = 128 * 1024
#: Bytes of a client's that are read before we look at how many frames they were: a few milliseconds' work at most.
PORTION = 4096
#: Frames that a client may send in a window of so many seconds. It needs to send nothing but pings and pongs.
MOST_FRAMES, WINDOW = 1_000, 10.0
PING = b"\x89\x00"
_BAD = b'{"error": "the handshake has a line or a number of lines that is too long", "code": "invalid"}'
BAD_HANDSHAKE = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BAD), _BAD)
)


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol for clients that listen: what they send is dropped where it arrives.

    A client that sends too many frames is closed with 1008; one that does not read gets no pongs.
    """

    _counted_from = 0.0
    _counted = 0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        connection, option = transport.get_extra_info("socket"), getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if connection is not None and option is not None:
            with contextlib.suppress(OSError):  # not a TCP connection
                connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PORTION):
            if self.transport.is_closing() or (self.close_sent and self._counted > MOST_FRAMES):
                return
            super().data_received(data[start : start + PORTION])
            if self.conn.handshake_exc is not None and not self.handshake_initiated:  # uvicorn would wait for ever
                self.transport.write(BAD_HANDSHAKE)
                self.transport.close()
                return

    def handle_cont(self, event: Frame) -> None:
        self._count()

    def handle_text(self, event: Frame) -> None:
        self._count()

    def handle_bytes(self, event: Frame) -> None:
        self._count()

    def handle_pong(self, event: Frame) -> None:
        if self._count():
            super().handle_pong(event)

    def handle_ping(self) -> None:
        output = self.conn.data_to_send()  # the pong
        if self._count() and self.writable.is_set():
            self.transport.write(b"".join(output))

    def _count(self) -> bool:
        """Count a frame. Returns False, and ends the connection, when there were too many."""
        now = self.loop.time()
        if now - self._counted_from > WINDOW:
            self._counted_from, self._counted = now, 0
        self._counted += 1
        if self._counted <= MOST_FRAMES:
            return True
        if not self.handshake_complete or not self.writable.is_set():
            self.transport.abort()
        elif not self.close_sent:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "clients have nothing to say here")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        return False

    def forget_handshake(self) -> None:
        """Keep nothing of a request that was answered: its head may be long, and sockets stay for days."""
        self.scope["headers"] = []
        self.scope["query_string"] = b""
        self.request = self.response = None  # type: ignore[assignment]  # only the handshake needs them


class Shared:
    """A text as one frame for many sockets, in memory once for as long as one of them waits for it."""

    __slots__ = ("__weakref__", "frame")

    def __init__(self, text: str) -> None:
        self.frame = encoded(text)

    @property
    def text(self) -> str:
        return self.frame[2 + {126: 2, 127: 8}.get(self.frame[1], 0) :].decode()


Text = str | Shared


def encoded(text: str) -> bytes:
    """`text` as one unmasked frame (RFC 6455, 5.2)."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 0x10000:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


frame = functools.lru_cache(maxsize=8)(encoded)


class Wire:
    """The connection under a consumer. On a server other than uvicorn there is none, and everything is sent by ASGI."""

    __slots__ = ("_protocol", "_written")

    def __init__(self, send: Any = None) -> None:
        protocol = getattr(send, "__self__", None)
        self._protocol = protocol if isinstance(protocol, WebSocketsSansIOProtocol) else None
        self._written = 0

    def write(self, text: Text) -> bool:
        """Write a text if the connection takes it at once; False, and nothing is written, if not."""
        return self._write(frame(text) if isinstance(text, str) else text.frame)

    def ping(self) -> bool:
        """The same with a ping."""
        return self._write(PING)

    def _write(self, data: bytes) -> bool:
        protocol = self._protocol
        if (
            protocol is None
            or protocol.close_sent
            or protocol.conn.extensions  # it would have to be compressed
            or not protocol.writable.is_set()  # the client is behind: it has to wait
            or protocol.transport.is_closing()
        ):
            return False
        protocol.transport.write(data)
        self._written += len(data)
        return True

    async def writable(self) -> None:
        """Wait until the client has taken most of what was written, or is gone."""
        if self._protocol is not None:
            await self._protocol.writable.wait()

    @property
    def waiting(self) -> int:
        """Bytes that were written and that the client has not taken yet."""
        return self._protocol.transport.get_write_buffer_size() if self._protocol is not None else 0

    @property
    def taken(self) -> int:
        """Bytes that the client has taken so far: it rises while there is progress."""
        return self._written - self.waiting

    def abort(self) -> None:
        """Cut the connection without a closing handshake, which ASGI can't do."""
        if self._protocol is not None:
            self._protocol.transport.abort()

    def finish(self, seconds: float) -> None:
        """After the last write: end the connection if the client has not taken everything after so many seconds."""
        if self._protocol is not None and self.waiting:
            self._protocol.loop.call_later(seconds, self._protocol.transport.abort)

    def forget_handshake(self, scope: dict[str, Any]) -> None:
        """Drop the request from memory: sockets stay for days, and its head may be long."""
        scope["headers"], scope["query_string"] = [], b""
        if isinstance(self._protocol, StreamProtocol):
            self._protocol.forget_handshake()


#: For sockets without a connection of uvicorn's.
NO_WIRE = Wire()
