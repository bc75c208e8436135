"""A shorter way to a client: a frame's bytes are made once and written to every socket as they are.

ASGI takes a text for each socket, of which the server makes a frame anew, in a task that has to be woken first. For two
thousand sockets that is most of what a change costs.
"""

import functools
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


@functools.lru_cache(maxsize=8)
def frame(text: str) -> bytes:
    """`text` as one unmasked frame (RFC 6455, 5.2)."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 0x10000:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


class Wire:
    """The connection under a consumer. On a server that isn't uvicorn there is none to be had, and all goes by ASGI."""

    __slots__ = ("_protocol",)

    def __init__(self, send: Any) -> None:
        protocol = getattr(send, "__self__", None)
        self._protocol = protocol if isinstance(protocol, WebSocketsSansIOProtocol) else None

    def write(self, text: str) -> bool:
        """Write a text if the connection takes it at once; False, and nothing is written, if not."""
        protocol = self._protocol
        if (
            protocol is None
            or protocol.close_sent
            or protocol.conn.extensions  # it would have to be compressed
            or not protocol.writable.is_set()  # the client is behind: it has to wait
            or protocol.transport.is_closing()
        ):
            return False
        protocol.transport.write(frame(text))
        return True

    def abort(self) -> None:
        """End the connection without asking the client, for which ASGI has no word."""
        if self._protocol is not None:
            self._protocol.transport.abort()
