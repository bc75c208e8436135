"""Many WebSocket clients in one process: they shake hands, and note when a frame arrives."""

import asyncio
import base64
import os
import time

WORDS = b'"type":"prompt.'


class Listener(asyncio.Protocol):
    """A client that reads. `marker` is what the frame that it waits for holds."""

    def __init__(self, crowd: "Crowd", port: int, path: str) -> None:
        self._crowd = crowd
        key = base64.b64encode(os.urandom(16)).decode()
        self._handshake = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._open = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a TCP connection
        self.transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._rest += data
            if b"\r\n\r\n" not in self._rest:
                return
            if not self._rest.startswith(b"HTTP/1.1 101"):
                self._crowd.refused += 1
            self._open = True
            data = self._rest.partition(b"\r\n\r\n")[2]
            self._crowd.opened(self)
        if self._crowd.marker in data:
            self._crowd.arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost += 1


class Crowd:
    """So many listeners, over one or more servers."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.refused = self.lost = 0
        self.marker = WORDS
        self._opened = 0
        self._arrivals: list[float] = []
        self._expected = 0
        self._all: asyncio.Event = asyncio.Event()

    async def gather(self, ports: list[int], path: str, count: int) -> None:
        """Open `count` sockets, spread over `ports`, a few at a time."""
        loop = asyncio.get_running_loop()
        for start in range(0, count, 100):
            batch = range(start, min(count, start + 100))
            await asyncio.gather(*(self._open(loop, ports[n % len(ports)], path) for n in batch))
            await self._until_open(batch.stop)

    async def _open(self, loop: asyncio.AbstractEventLoop, port: int, path: str) -> None:
        await loop.create_connection(lambda: Listener(self, port, path), "127.0.0.1", port)

    async def _until_open(self, count: int) -> None:
        while self._opened < count and not self.refused:  # noqa: ASYNC110  # a count of many, not one event
            await asyncio.sleep(0.005)

    def opened(self, listener: Listener) -> None:
        self._opened += 1
        self.listeners.append(listener)

    def arrived(self) -> None:
        self._arrivals.append(time.perf_counter())
        if len(self._arrivals) >= self._expected:
            self._all.set()

    def expect(self, marker: bytes) -> None:
        self.marker = marker
        self._arrivals = []
        self._expected = len(self.listeners)
        self._all.clear()

    async def last(self, *, within: float = 30.0) -> float:
        """When the last of the listeners had its frame (a perf_counter time)."""
        async with asyncio.timeout(within):
            await self._all.wait()
        return max(self._arrivals)

    def close(self) -> None:
        for listener in self.listeners:
            listener.transport.abort()
