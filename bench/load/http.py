"""A small HTTP load: keep-alive connections that each send the next request when the answer to the last is there."""

import asyncio
import time
from dataclasses import dataclass

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw: answers in all and by status, and its length in seconds."""

    answers: int
    statuses: dict[int, int]
    seconds: float


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, done: "asyncio.Future[None]", until: float) -> None:
        self._request = request
        self._done = done
        self._until = until
        self._buffer = b""
        self.statuses: dict[int, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a TCP connection
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        status = int(head[9:12])
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 and status != 304 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = b""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if time.monotonic() < self._until:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def request(path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def run(port: int, raw: bytes, *, seconds: float) -> Load:
    """Send `raw` over CONNECTIONS connections for that long."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    connections = []
    for _ in range(CONNECTIONS):
        done: asyncio.Future[None] = loop.create_future()
        connection = _Connection(raw, done, began + seconds)
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", port)  # type: ignore[misc]
        connections.append((connection, done))
    await asyncio.gather(*(done for _, done in connections))
    statuses: dict[int, int] = {}
    for connection, _ in connections:
        for status, count in connection.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return Load(sum(statuses.values()), statuses, time.monotonic() - began)
