"""uvicorn's HTTP protocol with limits for requests, and with a shorter way to write a whole answer.

uvicorn itself takes a head of any size and waits for the rest of a request without end. What is refused here is
answered with the JSON of every other error, before any application has seen the request. It relies on parts of uvicorn
that are not documented: tests/promptops/server/test_uvicorn.py names them, and uvicorn is pinned exactly.
"""

import asyncio
import json
import sys
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from governance.core.logs import new_request_id

_ABOUT_THE_UPGRADE = {b"upgrade", b"connection", b"http2-settings"}
#: Bytes that the parser is given at once, so that it is known how much of a head has come.
_SLICE = 16 * 1024
#: The limits of the package websockets for a line of a handshake, and for their number.
_LONGEST_LINE = 8000
_MOST_LINES = 120
#: Bytes of chunk sizes that are accepted for each byte of a body: `1`, two line ends, leading zeros.
_OVERHEAD = 16
#: How long, and how much, is read and dropped of a request that was refused, so that its client can read the answer.
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 * 1024 * 1024


class Limits(NamedTuple):
    """What a connection may cost. Sizes are in bytes, times in seconds."""

    head_bytes: int = 64 * 1024
    headers: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    write_seconds: float = 60.0


_limits = Limits()


def limit(limits: Limits) -> None:
    """Set what connections that are opened from now on may cost."""
    global _limits
    _limits = limits


class _RefusedError(Exception):
    """Raised where the parser calls back: the request is answered with this."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence


class _OfferedError(Exception):
    """Raised at the end of a head that offers an upgrade, as to h2c, that is not taken. Holds the head without it."""

    def __init__(self, head: bytes) -> None:
        super().__init__("an upgrade that is not to a WebSocket")
        self.head = head


class _Trailers(list[tuple[bytes, bytes]]):
    """Drops the header lines after a body, which must not become headers of a request that has begun."""

    def append(self, line: tuple[bytes, bytes]) -> None:
        pass


_TRAILERS = _Trailers()


class HttpProtocol(HttpToolsProtocol):
    """Limits the size of heads and the time of every request, and ignores `Upgrade: h2c` (RFC 9110, 7.8).

    Java's HTTP client offers h2c with its first request. The parser stops at the end of such a head, and uvicorn would
    lose the body: here the request is parsed again without the offer.
    """

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._limits = _limits
        self._head_bytes = 0  # of a head that has not come whole
        self._spare = 0  # bytes that may still come of a body without being part of it
        self._refusal: _RefusedError | None = None
        self._lingering = _LINGER_BYTES
        self._expected: tuple[str, object, float] = ("", None, 0.0)  # as `_expects` returns it, and since when

    # --- reading ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's hint is narrower than asyncio's
        _sweep_of(self).add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        _sweep_of(self).connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            self._lingering -= len(data)
            if self._lingering < 0:
                self.transport.close()
        elif len(data) <= _SLICE:
            self._feed(data)
        else:
            for start in range(0, len(data), _SLICE):
                self._feed(data[start : start + _SLICE])
                if (
                    self._refusal is not None
                    or self.transport.is_closing()
                    or self.transport.get_protocol() is not self
                ):
                    return

    def _feed(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except _OfferedError as offer:
            stopped = offer.__context__  # uvicorn was handling the parser's own exception, which tells where
            end = stopped.args[0] if isinstance(stopped, httptools.HttpParserUpgrade) else len(data)
            self.parser = httptools.HttpRequestParser(self)
            super().data_received(offer.head + data[end:])
        if self._refusal is not None:
            return
        if self.scope is None or "method" not in self.scope:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes + _SLICE:
                self._refuse(self._too_large())
        elif self.cycle is not None and self.cycle.more_body:
            self._spare -= len(data)
            if self._spare < 0:
                self._refuse(_RefusedError(400, "invalid", "a body's chunks say more about themselves than they hold"))

    def on_headers_complete(self) -> None:
        if len(self.headers) > self._limits.headers:
            raise self._too_large()
        if self._head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._limits.head_bytes:
                raise self._too_large()
            self._head_bytes = 0
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._spare = self._limits.head_bytes
            self.headers = _TRAILERS
        elif self.parser.get_method() == b"CONNECT":
            raise _RefusedError(405, "method_not_allowed", "this server is no proxy")
        elif self._should_upgrade():
            longest = max(len(name) + len(value) for name, value in [(b"", self.url), *self.headers])
            if longest > _LONGEST_LINE or len(self.headers) > _MOST_LINES:
                raise self._too_large()
            if not self.url.isascii():
                raise _RefusedError(400, "invalid", "the address is not ASCII")
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._spare += _OVERHEAD * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_refused_offer():
            return
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False  # uvicorn leaves it when the answer came first

    def handle_websocket_upgrade(self) -> None:
        _sweep_of(self).connections.discard(self)
        super().handle_websocket_upgrade()

    def _too_large(self) -> _RefusedError:
        most, headers = self._limits.head_bytes, self._limits.headers
        return _RefusedError(
            431, "head_too_large", f"a request's head may have {most} bytes and {headers} header lines"
        )

    def _is_refused_offer(self) -> bool:
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """What uvicorn calls when the parser has stopped at an upgrade that is not to a WebSocket."""
        raise _OfferedError(self._head())

    def _head(self) -> bytes:
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _ABOUT_THE_UPGRADE]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # --- refusing ---------------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser or one of its callbacks has failed; `__context__` tells which."""
        why = _cause_of_what_is_handled()
        self._refuse(why or _RefusedError(400, "invalid", "this is no HTTP request that can be read"))

    def _refuse(self, refusal: _RefusedError) -> None:
        """Answer, unless an answer is under way, and read on for a while without looking at what comes."""
        self._refusal = refusal
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:  # an earlier request, which gets its answer; the connection ends with it
                cycle.keep_alive = False
                return
            if cycle.response_started:
                self.transport.close()
                return
            cycle.disconnected = True  # so that its application stops: there is nobody to answer
            cycle.message_event.set()
        content = {"error": refusal.sentence, "code": refusal.code, "request_id": new_request_id("")}
        raw = json.dumps(content).encode()
        lines = [b"%s: %s\r\n" % pair for pair in self.server_state.default_headers]
        lines += [
            b"content-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n" % len(raw),
            b"x-request-id: %s\r\nconnection: close\r\n\r\n" % content["request_id"].encode(),
        ]
        self.transport.write(b"".join((STATUS_LINE[refusal.status], *lines, raw)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    # --- timeouts ---------------------------------------------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """End the connection if the client has had its time for what it has to do next."""
        what, progress, seconds = self._expects()
        before, progress_before, since = self._expected
        same = progress == progress_before if what == "read" else progress is progress_before
        if not what or what != before or not same:
            self._expected = (what, progress, now)
        elif now - since > seconds:
            self._end(what, seconds)

    def _expects(self) -> tuple[str, object, float]:
        """What the client has to do next, something that changes with its progress, and its time in seconds.

        `read` an answer, send the `head` or the `body` of a request, send the `next` request, or `leave` after it was
        refused; empty when it is the server's turn.
        """
        scope, cycle, limits = self.scope, self.cycle, self._limits
        if self._refusal is not None and (cycle is None or cycle.response_complete or cycle.disconnected):
            return "leave", None, _LINGER_SECONDS
        waiting = self.transport.get_write_buffer_size()
        if waiting:
            return "read", waiting, limits.write_seconds
        if scope is None or "method" not in scope:
            return "head", scope, limits.head_seconds
        if cycle is not None and cycle.more_body and not self.pipeline:
            return "body", cycle, limits.body_seconds
        if cycle is not None and cycle.response_complete and self.timeout_keep_alive_task is None:
            return "next", cycle, limits.head_seconds
        return "", None, 0.0

    def _end(self, what: str, seconds: float) -> None:
        if what == "read":
            self.transport.abort()
        elif what == "body" or (what == "head" and self.scope is not None):
            self._refuse(
                _RefusedError(408, "request_timeout", f"the request's {what} did not come within {seconds:g} s")
            )
        else:
            self.transport.close()


def _cause_of_what_is_handled() -> _RefusedError | None:
    """The refusal that a callback raised, if the parser failed because of one."""
    error = sys.exc_info()[1]
    cause = error.__context__ if error is not None else None
    return cause if isinstance(cause, _RefusedError) else None


class _Sweep:
    """Checks all connections of a server once a second: a timer for each request would cost too much."""

    EVERY = 1.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connections: set[HttpProtocol] = set()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: HttpProtocol) -> None:
        self.connections.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self.EVERY, self._check)

    def _check(self) -> None:
        self._timer = self._loop.call_later(self.EVERY, self._check) if self.connections else None
        now = self._loop.time()
        for connection in list(self.connections):
            connection.check_time(now)


_sweeps: WeakKeyDictionary[Any, _Sweep] = WeakKeyDictionary()


def _sweep_of(connection: HttpProtocol) -> _Sweep:
    found = _sweeps.get(connection.server_state)
    if found is None:
        found = _sweeps[connection.server_state] = _Sweep(connection.loop)
    return found


def write_at_once(send: Any, status: int, headers: bytes, body: bytes) -> bool:
    """Write a whole answer in one system call. Returns False, with nothing written, where it must be sent by ASGI.

    ASGI takes an answer in two messages. uvicorn checks each header and makes a system call for each message, which is
    a third of what a fetch costs (docs/performance.md). `send` is what uvicorn passed to the application, `headers` are
    encoded lines without line breaks in their values.
    """
    cycle: RequestResponseCycle | None = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.response_started or cycle.disconnected:
        return False
    if not cycle.keep_alive or cycle.flow.write_paused or cycle.scope["method"] == "HEAD" or cycle.access_log:
        return False
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    lines = [b"%s: %s\r\n" % pair for pair in cycle.default_headers]
    cycle.transport.write(b"".join((STATUS_LINE[status], *lines, headers, b"\r\n", body)))
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True
