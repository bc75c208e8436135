"""What a client may do with a connection: heads, bodies and answers are bounded in size and time."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.servers import TOKEN, Server, running

HEAD = b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"token": "%s"}' % TOKEN.encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
SECONDS = {"PROMPTOPS_HEAD_SECONDS": "2", "PROMPTOPS_BODY_SECONDS": "3", "PROMPTOPS_WRITE_SECONDS": "3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("server")), port=None, **SECONDS) as started:
        yield started


class Answer:
    """What came on a raw connection until the server closed it, or until a whole answer was there."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, body = raw.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1]) if head else 0
        self.head = head.decode("latin-1").lower()
        self.body = body

    @property
    def code(self) -> str:
        assert "content-type: application/json" in self.head, self.raw[:500]
        content: dict[str, Any] = json.loads(self.body)
        assert {"error", "code", "request_id"} <= set(content)
        return str(content["code"])


def say(server: Server, *parts: bytes, pause: float = 0.0, timeout: float = 15) -> Answer:
    """Send these and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        received = b""
        while some := connection.recv(65536):
            received += some
    return Answer(received)


def asked(target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    told = (b"Host: localhost", b"Authorization: Bearer " + TOKEN.encode(), b"Connection: close", *lines)
    return b" ".join((method, target, version)) + b"\r\n" + b"\r\n".join(told) + b"\r\n\r\n"


# --- heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-Long: " + b"x" * 70_000],
        [b"X-%d: x" % number for number in range(101)],
        [b"X-%d: %s" % (number, b"x" * 8000) for number in range(20)],
        [b"x" * 70_000 + b": x"],
    ],
    ids=["one long line", "many lines", "many long lines", "a long name"],
)
@pytest.mark.parametrize("target", [b"/api/me", b"/api/sdk/prompts?env=prod", b"/livez"])
def test_a_head_over_the_limits_is_431_in_json(lines: list[bytes], target: bytes, server: Server) -> None:
    answer = say(server, asked(target, *lines))
    assert (answer.status, answer.code) == (431, "head_too_large")


def test_a_head_within_the_limits_is_answered(server: Server) -> None:
    lines = [b"X-%d: %s" % (number, b"x" * 7000) for number in range(9)]
    assert say(server, asked(b"/api/me", *lines)).status == 200
    assert say(server, asked(b"/api/me?" + b"x" * 60_000)).status == 200
    assert say(server, asked(b"/api/me", *(b"X-%d: x" % number for number in range(97)))).status == 200


def test_a_head_that_never_ends_is_refused_and_costs_no_memory(server: Server) -> None:
    """Also its client gets the answer, though it has sent much more than was read."""
    before = server.memory()
    for begin in (b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"):
        filling = b"a: b\r\n" * 10_000 if begin.endswith(b"\n") else b"x" * 60_000
        answer = say(server, begin, *[filling] * 500)
        assert (answer.status, answer.code) == (431, "head_too_large")
    assert server.memory() - before < 20_000_000


def test_a_pipeline_of_many_small_requests_is_no_large_head(server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = say(server, one * 6000 + asked(b"/livez"))
    assert answer.raw.count(b"HTTP/1.1 200 OK") == 6001


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (b"G", 408),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 408),
        (b"GET /livez HTTP/1.1\r\nX: ", 408),
    ],
)
def test_a_head_that_does_not_come_is_given_up(sent: bytes, status: int, server: Server) -> None:
    began = time.monotonic()
    answer = say(server, sent)
    assert answer.status == status
    assert status == 0 or answer.code == "request_timeout"
    assert 1.5 < time.monotonic() - began < 9


def test_a_head_that_trickles_is_given_up_and_so_is_a_connection_kept_open_by_empty_lines(server: Server) -> None:
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        say(server, b"GET /livez HTTP/1.1\r\n", *[b"X: y\r\n"] * 60, pause=0.2)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        say(server, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", *[b"\r\n"] * 60, pause=0.2)


def test_an_idle_connection_is_closed(server: Server) -> None:
    began = time.monotonic()
    assert say(server, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
    assert time.monotonic() - began > 3


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 1000\r\n\r\n", CHUNKED + b"\r\n"], ids=["length", "chunked"])
def test_a_body_that_does_not_come_or_trickles_is_408(head: bytes, server: Server) -> None:
    answer = say(server, head)
    assert (answer.status, answer.code) == (408, "request_timeout")
    bit = b"1\r\n \r\n" if b"chunked" in head else b" "
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        say(server, head, *[bit] * 60, pause=0.3)


@pytest.mark.parametrize("chunk", [b"1\r\n%s\r\n", b"0001;name=value\r\n%s\r\n"], ids=["plain", "with an extension"])
def test_a_body_of_small_chunks_is_taken(chunk: bytes, server: Server) -> None:
    body = BODY.ljust(2000)
    parts = b"".join(chunk % body[at : at + 1] for at in range(len(body)))
    answer = say(server, CHUNKED + b"Connection: close\r\n\r\n" + parts + b"0\r\nX-Trailer: x\r\n\r\n")
    assert answer.status == 200


@pytest.mark.parametrize("endless", [b"1;x", b"0\r\nX: x", b"0\r\na: b\r\n"], ids=["extension", "line", "lines"])
def test_extensions_and_trailers_without_end_are_refused_and_cost_no_memory(endless: bytes, server: Server) -> None:
    before = server.memory()
    filling = b"a: b\r\n" * 10_000 if endless.endswith(b"\n") else b"x" * 60_000
    answer = say(server, CHUNKED + b"\r\n", endless, *[filling] * 300)
    assert (answer.status, answer.code) == (400, "invalid")
    assert server.memory() - before < 20_000_000


def test_a_trailer_is_no_header(server: Server) -> None:
    told = b"GET /api/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert say(server, told + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n").status == 401


def test_a_body_over_the_limit_is_answered_though_its_client_goes_on_sending(server: Server) -> None:
    for _ in range(5):
        for content in (b"x" * 20_000_000, iter([b"x" * 100_000] * 200)):
            answer = httpx.post(f"{server.url}/api/prompts", content=content, timeout=20)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
            assert answer.headers["Connection"] == "close"


def test_what_asks_first_whether_it_may_send_is_told_no(server: Server) -> None:
    told = HEAD + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(told)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_client_that_takes_nothing_of_its_answers_is_dropped(server: Server) -> None:
    with server.client() as client:
        for number in range(8):
            body = {"key": f"large-{number}", "content": "x" * 250_000, "env": "prod"}
            assert client.post("/api/prompts", json=body).status_code in (201, 409)
    one = asked(b"/api/sdk/prompts?env=prod").replace(b"Connection: close\r\n", b"")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(15)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(one * 20)
        time.sleep(8)
        assert drained(connection) < 20 * 2_000_000


def drained(connection: socket.socket) -> int:
    """How much still comes until the connection ends, in order or not."""
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while some := connection.recv(65536):
            received += len(some)
    return received


# --- odd requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (asked(b"localhost:443", method=b"CONNECT"), 405),
        (asked(b"/api/me", method=b"CONNECT"), 405),
        (asked(b"*", method=b"OPTIONS"), 404),
        (asked(b"*"), 404),
        (asked(b"http://elsewhere.example/api/me"), 200),
        (asked(b"http://elsewhere.example"), 400),
        (asked(b"http://[/api/me"), 400),
        (asked(b"//elsewhere.example/admin"), 404),
        (asked(b"elsewhere"), 400),
        (asked(b"/api/prompts", method=b"TRACE"), 405),
        (asked(b"/api/me", method=b"BREW"), 400),
        (asked(b"/api/me", method=b"get"), 400),
        (asked(b"/api/me", method=b"PROPFIND"), 405),
        (asked(b"/api/me", version=b"HTTP/1.0"), 200),
        (asked(b"/api/me", version=b"HTTP/2.0"), 200),
        (asked(b"/api/me", version=b"HTTP/9.9"), 400),
        (b"GET /api/me\r\n\r\n", 401),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50, 400),
        (asked(b"/api/prompts/%zz"), 404),
        (asked(b"/api/prompts/%"), 404),
        (asked(b"/%ff%fe"), 404),
        (asked(b"/api/me?q=%zz&%ff=%"), 200),
        (asked(b"/api/me?\xff\xfe"), 400),
        (asked(b"/\xff\xfe"), 400),
        (asked(b"/api/me", b"X-Odd: \xff\xfe\x80"), 200),
        (asked(b"/api/me", b"Cookie: \xff=\xfe; sessionid=\xff"), 200),
        (asked(b"/api/me", b"Content-Type: text/plain; charset=hex"), 200),
        (asked(b"/api/prompts?q=x", b"Content-Type: text/plain; charset=hex"), 200),
        (asked(b"/admin/login/?next=x", b"Content-Type: text/plain; charset=utf-16"), 200),
        (asked(b"/api/me", b"Accept: \xff/\xfe;q=x"), 200),
        (asked(b"/api/me", b"Accept-Encoding: \xff", b"If-None-Match: \xff", b"Range: bytes=9-1"), 200),
        (asked(b"/static/admin/css/base.css", b"Range: \xff=9-x", b"If-Modified-Since: \xff"), 200),
        (b"GET /api/me HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/me HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/me HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/me HTTP/1.1\r\nHost: a\r\n continued\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/me HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/me HTTP/1.1\nHost: a\nConnection: close\n\n", 400),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_request_that_is_odd_is_answered_in_json_and_never_as_the_servers_fault(
    request_: bytes, status: int, server: Server
) -> None:
    answer = say(server, request_)
    assert answer.status == status, answer.raw[:300]
    if status >= 400 and not (b"TRACE" in request_ and not answer.body):
        assert answer.code


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\r\n chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
    ],
)
def test_a_body_whose_length_two_servers_could_read_differently_is_refused(lines: bytes, server: Server) -> None:
    """And the connection ends with it, so that nothing of it is taken for a further request."""
    smuggled = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = say(server, HEAD + lines + b"\r\n" + b"0\r\n\r\n" + smuggled)
    assert (answer.status, answer.code) == (400, "invalid"), answer.raw[:300]
    assert answer.raw.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "chunk", [b"0x5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloX\r\n", b"-5\r\nhello\r\n", b"5 \r\nhello\r\n"]
)
def test_a_chunk_that_two_servers_could_read_differently_is_refused(chunk: bytes, server: Server) -> None:
    answer = say(server, CHUNKED + b"\r\n" + chunk + b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.code) == (400, "invalid"), answer.raw[:300]
    assert answer.raw.count(b"HTTP/1.1 ") == 1


def test_a_request_before_rubbish_gets_its_own_answer_and_nobody_elses(server: Server) -> None:
    answer = say(server, b"GET /api/schema HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\x00rubbish\r\n\r\n")
    assert answer.status == 200
    assert answer.raw.count(b"HTTP/1.1 ") == 1
    assert len(answer.body) == int(re.findall(r"content-length: (\d+)", answer.head)[0])


# --- handshakes -----------------------------------------------------------------------------------------------------


def handshake(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    told = (b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return method + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join((*told, key, *lines)) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (handshake(b"/ws?" + b"x" * 9000), 431),
        (handshake(b"/ws", b"X: " + b"x" * 9000), 431),
        (handshake(b"/ws", *(b"X-%d: x" % number for number in range(101))), 431),
        (handshake(b"/ws?\xff"), 400),
        (handshake(b"/ws?token=wrong"), 401),
    ],
    ids=["address", "header", "headers", "not ASCII", "token"],
)
def test_a_handshake_has_the_same_limits(request_: bytes, status: int, server: Server) -> None:
    assert say(server, request_).status == status


def test_no_secret_of_a_handshake_or_of_an_odd_request_is_in_the_log(server: Server) -> None:
    for words in ("token={}", "access_token={}", "%74oken={}", "a=b&to%6Ben={}"):
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{server.port}/ws?{words.format('s3cr3t-of-nobody')}")
    with connect(server.stream_url(TOKEN)):
        pass
    say(server, asked(b"/api/me?token=s3cr3t-of-nobody").replace(b"Host: localhost", b"Host: x?token=s3cr3t-of-nobody"))
    say(server, asked(b"/nope?token=s3cr3t-of-nobody", b"Authorization: Bearer s3cr3t-of-nobody"))
    text = server.log.read_text()
    assert "/ws?[left out]" in text
    assert "s3cr3t" not in text
    assert TOKEN not in text


def test_hostile_addresses_and_hosts_hold_nobody_up(server: Server) -> None:
    hostile = b"?%" * 800
    with httpx.Client(base_url=server.url) as probe:
        usual = min(timed(lambda: probe.get("/livez")) for _ in range(5))
        for request_ in (
            asked(b"/ws?" + hostile),
            handshake(b"/ws?" + hostile),
            asked(b"/", b"X: y").replace(b"localhost", hostile),
        ):
            began = time.monotonic()
            for _ in range(10):
                say(server, request_)
            assert time.monotonic() - began < 10 * (usual + 0.4)


def timed(do: Callable[[], Any]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began
