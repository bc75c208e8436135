"""uvicorn's fast HTTP protocol: mended for clients that offer an upgrade, and with a shorter way for whole answers."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_ABOUT_THE_UPGRADE = {b"upgrade", b"connection", b"http2-settings"}


class HttpProtocol(HttpToolsProtocol):
    """Ignores `Upgrade: h2c`, as RFC 9110 (7.8) lets a server do, and keeps the request's body.

    Java's HTTP client offers it with its first request. The parser stops where the headers end, and what follows would
    be lost: here the request is read again as if nothing had been offered.
    """

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except _OfferedError as offer:
            stopped = offer.__context__  # uvicorn was handling the parser's own exception, which tells where
            end = stopped.args[0] if isinstance(stopped, httptools.HttpParserUpgrade) else len(data)
            self.parser = httptools.HttpRequestParser(self)
            super().data_received(offer.head + data[end:])

    def on_headers_complete(self) -> None:
        if not self._is_refused_offer():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._is_refused_offer():
            super().on_message_complete()

    def _is_refused_offer(self) -> bool:
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """What uvicorn calls when the parser has stopped at an upgrade that is not to a WebSocket."""
        raise _OfferedError(self._head())

    def _head(self) -> bytes:
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _ABOUT_THE_UPGRADE]
        return b"\r\n".join(lines) + b"\r\n\r\n"


class _OfferedError(Exception):
    def __init__(self, head: bytes) -> None:
        super().__init__("an upgrade that is not to a WebSocket")
        self.head = head


def write_at_once(send: Any, status: int, headers: bytes, body: bytes) -> bool:
    """Write a whole answer in one go; False, and nothing is written, where ASGI's own way has to be taken.

    ASGI takes an answer in two messages. uvicorn looks through each header of the first and makes a system call of
    each: that is a third of what a fetch costs. `send` has to be uvicorn's own, and `headers` lines known to be fine.
    """
    cycle = getattr(send, "__self__", None)
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
