"""Clients that are not ours, as simple as people write them, or as other languages' libraries have them."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.tools.support import create, data
from tests.servers import TOKEN, Server, running

GIVES_UP_AFTER = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("foreign"))) as started:
        yield started


class ByHand:
    """RFC 6455 in thirty lines: it reads the handshake with whatever else is in the buffer and drops both, answers no
    ping, offers compression without meaning it, takes each text for a change, and gives up after ten silent seconds."""

    def __init__(self, server: Server) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=GIVES_UP_AFTER)
        self.connection.sendall(
            f"GET /ws?token={TOKEN}&namespace=prod HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
        )
        time.sleep(0.5)  # what follows the handshake at once is lost
        self.handshake = self.connection.recv(65536)

    def exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            piece = self.connection.recv(count - len(received))
            assert piece, "the server hung up"
            received += piece
        return received

    def next(self) -> dict[str, Any] | None:
        """The next text; None for a ping, which gets no pong."""
        while True:
            first, length = self.exactly(2)
            if length == 126:
                length = int.from_bytes(self.exactly(2), "big")
            elif length == 127:
                length = int.from_bytes(self.exactly(8), "big")
            payload = self.exactly(length)
            assert first & 0x70 == 0, "a reserved bit, which only an agreed extension may set"
            if first & 0x0F == 1:
                frame: dict[str, Any] = json.loads(payload)
                return frame
            if first & 0x0F == 9:
                return None


def test_a_client_that_knows_little_of_websockets_is_kept_by_pings_and_hears_every_change(server: Server) -> None:
    with server.client() as operator:
        prompt = create(operator, "by-hand", content="one")["id"]
        client = ByHand(server)
        assert client.handshake.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in client.handshake
        assert client.handshake.endswith(b"\r\n\r\n"), "something came before the first heartbeat or change"
        began = time.monotonic()
        assert [client.next() for _ in range(3)] == [None] * 3
        assert time.monotonic() - began < 3 * 5.0
        data(operator.post("/api/prompts/publish", json={"id": prompt}))
        frame = client.next() or client.next()
    assert frame is not None
    assert (frame["type"], frame["key"], frame["document"]["content"]) == ("prompt.published", "by-hand", "one")


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java here")
def test_javas_http_client_posts_and_subscribes(server: Server) -> None:
    """Its first request offers `Upgrade: h2c`, and must not lose its body for that."""
    with server.client() as operator:
        prompt = create(operator, "from-java", content="one")["id"]
    source = Path(__file__).with_name("Subscriber.java")
    words = ["java", str(source), f"127.0.0.1:{server.port}", TOKEN, prompt]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90)
    status, frame = done.stdout.strip().splitlines()
    assert status == "200", done.stderr
    assert json.loads(frame)["key"] == "from-java"
