"""The server as `manage.py serve` runs it."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.servers import TOKEN, Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("server")), PROMPTOPS_DRAIN_SECONDS="4") as started:
        yield started


@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "the body later"])
def test_a_request_that_offers_h2c_keeps_its_body(server: Server, together: bool) -> None:
    """As Java's HTTP client sends its first request."""
    body = b'{"token": "%s"}' % TOKEN.encode()
    head = (
        b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for part in [head + body] if together else [head, body]:
            connection.sendall(part)
        answer = b""
        while b'"ok":true' not in answer and (received := connection.recv(65536)):
            answer += received
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"username":"static token"' in answer


def test_a_body_over_the_limit_is_refused_before_it_was_sent(server: Server) -> None:
    head = (
        b"POST /api/login HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        answer = b""
        while b"}" not in answer and (received := connection.recv(65536)):
            answer += received
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "payload_too_large"' in answer


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/api/prompts", "/api/login", "/api/nope", "/health", "/admin/login/"])
def test_the_server_answers_a_body_over_the_limit_in_json_wherever_it_is_sent(
    path: str, chunked: bool, server: Server
) -> None:
    limit = settings.PROMPTOPS_MAX_BODY_BYTES
    parts = [b"x" * (limit // 8)] * 9
    content: Any = iter(parts) if chunked else b"".join(parts)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-ID": "mine-1", "Content-Type": "application/json"}
    with httpx.Client() as client:
        answer = client.post(server.url + path, content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.json() == {
        "error": f"the request body is over the limit of {limit} bytes",
        "code": "payload_too_large",
        "request_id": "mine-1",
    }
    assert answer.headers["X-Request-ID"] == "mine-1"


def test_the_server_takes_a_body_of_just_the_limit(server: Server) -> None:
    body = {"key": "large", "content": "x" * settings.PROMPTOPS_MAX_CONTENT_BYTES}
    raw = json.dumps(body).encode()
    with server.client() as client:
        answer = client.post(
            "/api/prompts",
            content=raw.ljust(settings.PROMPTOPS_MAX_BODY_BYTES),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 201


def test_sigterm_ends_the_server_in_order(server: Server) -> None:
    with server.client() as client:
        assert client.get("/readyz").json()["status"] == "ok"
    assert server.stop() in (0, -signal.SIGTERM)  # uvicorn passes the signal on once all is done
    assert "Application shutdown complete" in server.log.read_text()
    server.start()


def test_on_sigterm_readiness_fails_first_and_sockets_are_closed_with_1012_at_the_end(server: Server) -> None:
    with server.client() as client, connect(server.stream_url(namespace="prod"), ping_interval=None) as stream:
        assert server.process is not None
        server.process.terminate()
        deadline = time.monotonic() + 4
        while client.get("/readyz").status_code != 503:
            assert time.monotonic() < deadline
        assert client.get("/api/me").status_code == 200  # it goes on serving meanwhile
        with pytest.raises(ConnectionClosedError):
            list(stream)  # heartbeats, to the end
        assert stream.close_code == 1012
    server.process.wait(timeout=15)
    server.start()
