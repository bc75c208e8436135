"""Thousands of WebSocket clients in one process: they speak RFC 6455 by hand, never pong, and keep what they hear."""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from typing import Any

Frame = dict[str, Any]
TEXT, CLOSE = 1, 8


class Subscriber(asyncio.Protocol):
    """One client. `revisions` are those of the changes it was told, `frames` the last of them."""

    def __init__(self, address: str, path: str, told: Callable[["Subscriber", Frame], None] | None = None) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._handshake = (
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._told = told
        self._buffer = bytearray()
        self.status: int | None = None
        self.revisions: list[int] = []
        self.resumed: bool | None = None
        self.last: Frame = {}
        self.close_code: int | None = None
        self.opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.status is None:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            self.status = int(head[9:12])
            self._buffer = bytearray(rest)
            self.opened.set_result(self.status)
        while (frame := self._take()) is not None:
            self._read(*frame)

    def _take(self) -> tuple[int, bytes] | None:
        """The next whole frame of the buffer: its opcode and payload."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + length:
            return None
        payload = bytes(buffer[start : start + length])
        opcode = buffer[0] & 15
        del buffer[: start + length]
        return opcode, payload

    def _read(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
        if opcode != TEXT:
            return
        frame = json.loads(payload)
        if frame["type"] == "hello":
            self.resumed = frame["resumed"]
        elif frame["type"] != "heartbeat":
            self.revisions.append(frame["revision"])
            self.last = frame
            if self._told is not None:
                self._told(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_result(0)


async def subscribe(
    ports: list[int], path: str, count: int, told: Callable[[Subscriber, Frame], None] | None = None, at_once: int = 100
) -> list[Subscriber]:
    """Open `count` streams, spread over `ports`, and wait for each handshake's answer."""
    loop = asyncio.get_running_loop()
    opened: list[Subscriber] = []

    async def one(number: int) -> None:
        port = ports[number % len(ports)]
        _, subscriber = await loop.create_connection(
            lambda: Subscriber(f"127.0.0.1:{port}", path, told), "127.0.0.1", port
        )
        await subscriber.opened
        opened.append(subscriber)

    for start in range(0, count, at_once):
        await asyncio.gather(*(one(number) for number in range(start, min(count, start + at_once))))
    return opened


async def until(condition: Callable[[], bool], within: float) -> None:
    """Wait until `condition` holds; an assertion fails when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.02)
