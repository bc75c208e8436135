"""How much of a server those can take who listen to it, and who don't listen."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from governance.realtime import sockets, wire
from tests.faults.tools.support import Stream, data, installation, listening
from tests.governance.realtime.test_realtime import Raw, Room, eventually
from tests.servers import TOKEN, Server

MB = 1024 * 1024


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with installation(tmp_path_factory, PROMPTOPS_MAX_SOCKETS="66", PROMPTOPS_MAX_SOCKETS_PER_TOKEN="62") as server:
        yield Room(server)


def cpu(server: Server) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Deaf:
    """A client that says one thing and reads nothing."""

    def __init__(self, server: Server, path: str) -> None:
        self.connection = socket.socket()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.connect(("127.0.0.1", server.port))
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def is_open(self) -> bool:
        """Whether the server still holds it: what is buffered is read for that."""
        self.connection.settimeout(0.2)
        try:
            while self.connection.recv(65536):
                pass
        except TimeoutError:
            return True
        except OSError:
            return False
        return False


def test_sixty_clients_that_do_not_read_cost_one_snapshot_and_are_gone_within_a_minute(room: Room) -> None:
    server = room.server
    for number in range(24):
        room.create(f"large-{number}", content="x" * 250_000)
    stale: dict[str, str | int] = {"workspace": room.id, "namespace": "prod", "since": 1, "epoch": "of-another-line"}
    with listening(server, TOKEN, **stale) as stream:  # what a single one needs was needed before
        assert [stream.next()["type"] for _ in range(2)] == ["hello", "snapshot"]
    before = server.memory()
    path = server.stream_url(TOKEN, **stale).partition(str(server.port))[2]
    deaf = [Deaf(server, path) for _ in range(60)]
    eventually(lambda: len(data(room.client.get("/api/clients", params={"workspace": room.id}))), 60)
    with listening(server, TOKEN, **stale) as stream:  # one among them that does read is served as ever
        assert len(stream.next() and stream.next()["documents"]) == 24
        room.create("later")
        assert stream.next()["key"] == "later"
    assert server.memory() - before < 40 * MB
    began = time.monotonic()
    eventually(
        lambda: len(data(room.client.get("/api/clients", params={"workspace": room.id}))),
        0,
        timeout=sockets.PATIENCE + sockets.GRACE + 15,
    )
    assert time.monotonic() - began > sockets.PATIENCE / 2  # it was no impatience
    assert not any(client.is_open() for client in deaf)
    assert server.memory() - before < 40 * MB


def test_a_client_that_resumes_gets_many_large_changes_as_a_snapshot(room: Room) -> None:
    for number in range(24):
        room.create(f"large-{number}", content="x" * 250_000)
    with room.listen(since=0) as stream:
        assert stream.next()["resumed"] is False
        assert len(stream.next()["documents"]) == 24


def test_sockets_and_streams_are_bounded_for_a_credential_and_for_the_process(room: Room) -> None:
    _, other = room.token()
    _, third = room.token()

    def status(token: str) -> tuple[int, str | None, str]:
        with pytest.raises(InvalidStatus) as caught, connect(room.server.stream_url(token, workspace=room.id)):
            pass
        answer = caught.value.response
        return answer.status_code, answer.headers.get("Retry-After"), json.loads(answer.body or b"")["code"]

    with contextlib.ExitStack() as stack:
        for _ in range(62):
            stack.enter_context(room.listen())
        assert status(TOKEN) == (429, "10", "too_many_streams")
        answer = room.client.post("/api/playground/run", json={"content": "x", "provider": "mock", "stream": True})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
        assert answer.json()["code"] == "too_many_streams"
        with contextlib.ExitStack() as others:
            for _ in range(4):
                others.enter_context(room.listen(other))
            assert status(third) == (503, "1", "unavailable")
        with contextlib.ExitStack() as others:
            eventually(lambda: opens(others, room, third), True)


def opens(stack: contextlib.ExitStack, room: Room, token: str) -> bool:
    try:
        stack.enter_context(room.listen(token))
    except InvalidStatus:
        return False
    return True


def masked(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


@pytest.mark.parametrize("opcode", [1, 9, 10], ids=["texts", "pings", "pongs"])
def test_who_sends_frames_without_end_is_shut_out(room: Room, opcode: int) -> None:
    client = Raw(room.server, workspace=room.id)
    few, many = masked(opcode, b"x") * (wire.MOST_FRAMES // 2), masked(opcode, b"x") * wire.MOST_FRAMES
    client.connection.sendall(few)
    room.create()
    while (frame := client.next())[0] != 1:
        assert frame[0] == 10  # a pong for a ping
    assert json.loads(frame[1])["key"] == "greeting"
    client.connection.sendall(many)
    while (frame := client.next())[0] != 8:
        pass
    assert int.from_bytes(frame[1][:2], "big") == 1008


def test_pings_from_who_reads_no_pong_take_no_memory(room: Room) -> None:
    before = room.server.memory()
    path = room.server.stream_url(workspace=room.id).partition(str(room.server.port))[2]
    deaf = [Deaf(room.server, path) for _ in range(20)]
    time.sleep(0.5)
    for client in deaf:
        client.connection.settimeout(1)
        with contextlib.suppress(OSError):
            client.connection.sendall(masked(9, b"x" * 125) * 50_000)
    assert room.server.memory() - before < 20 * MB
    room.create()
    with room.listen(since=0) as stream:
        assert stream.next()["resumed"] is True


def test_what_a_handshake_says_is_not_kept_while_its_socket_is_open(room: Room) -> None:
    before = room.server.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            headers = {f"X-Long-{number}": "x" * 7900 for number in range(6)}
            url = room.server.stream_url(workspace=room.id, app="a" * 5000, client="c" * 2000)
            stack.enter_context(connect(url, additional_headers=headers))
        assert room.server.memory() - before < 8 * MB
        eventually(lambda: len(data(room.client.get("/api/clients"))), 60)
        rows: list[dict[str, Any]] = data(room.client.get("/api/clients"))
        assert {(len(row["app"]), len(row["client_type"])) for row in rows} == {(200, 50)}


@pytest.mark.parametrize("length", [7_900, 8_200, 60_000])
def test_a_handshake_that_is_too_long_is_refused(room: Room, length: int) -> None:
    for url, headers in (
        (room.server.stream_url(app="a" * length), {}),
        (room.server.stream_url(), {"X-Long": "x" * length}),
    ):
        if length < 8_000:
            with connect(url, additional_headers=headers):
                continue
        with pytest.raises(InvalidStatus) as caught, connect(url, additional_headers=headers):
            pass
        refused = caught.value.response.status_code, json.loads(caught.value.response.body or b"")["code"]
        assert refused in {(400, "invalid"), (431, "head_too_large")}


def test_a_client_that_reads_slowly_but_steadily_is_not_closed(room: Room) -> None:
    for number in range(8):
        room.create(f"large-{number}", content="x" * 250_000)
    path = room.server.stream_url(workspace=room.id, namespace="prod", since=99).partition(str(room.server.port))[2]
    client = Deaf(room.server, path)
    received = 0
    end = time.monotonic() + sockets.PATIENCE + 5
    while time.monotonic() < end:
        received += len(client.connection.recv(16_384))
        time.sleep(0.3)
    client.connection.settimeout(10)
    while received < 2_000_000:
        piece = client.connection.recv(65536)
        assert piece, f"closed after {received} bytes"
        received += len(piece)


def test_a_socket_is_closed_with_4410_when_it_takes_nothing_and_told_so_if_it_reads_again(room: Room) -> None:
    for number in range(24):
        room.create(f"large-{number}", content="x" * 250_000)
    stale = room.server.stream_url(workspace=room.id, namespace="prod", since=99)
    with connect(stale, max_size=None, ping_interval=None, max_queue=1) as connection:
        stream = Stream(connection)
        stream.connection.recv_messages.pause()
        time.sleep(sockets.PATIENCE + 3)
        stream.connection.recv_messages.resume()
        assert stream.close_code(20) == 4410
