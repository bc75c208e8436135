"""The transport under every outgoing call: to the checked addresses only, and no answer without end.

Loaded with the first call, since it brings httpx2.
"""

import functools
import json
import ssl
from collections.abc import AsyncIterator

import httpx2
from django.conf import settings

from agents.outbound import Admitted
from agents.providers.answers import has_words
from agents.providers.events import Decoder, are_events
from agents.providers.reasons import Failure, failure_in, failure_of

#: Bytes in which a failure has to be told. A longer body is taken for an answer.
_MAX_FAILURE = 64 * 1024


class TooMuchError(httpx2.TransportError):
    """The answer is over the limit of what is read, or packed so that nobody knows how long it is."""


@functools.cache
def tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a call on a local network."""
    return ssl.create_default_context()


class Guarded(httpx2.AsyncBaseTransport):
    """Connects to what was admitted, whatever the name means by now.

    The request keeps the name in its Host header and in the TLS handshake, so that certificates are checked against it.
    """

    def __init__(self, admitted: Admitted) -> None:
        self._admitted = admitted
        self._inner = httpx2.AsyncHTTPTransport(verify=tls(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        place, asked = self._admitted.place, request.url
        if asked.host != place.host:
            raise httpx2.ConnectError(f"{asked.host} is not the place that was admitted")
        request.extensions = {**request.extensions, "sni_hostname": place.host}
        try:
            for last, address in enumerate(self._admitted.addresses, 1 - len(self._admitted.addresses)):
                request.url = asked.copy_with(host=address)
                try:
                    return await self._inner.handle_async_request(request)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    if last == 0:
                        raise
            raise httpx2.ConnectError("there is no address to connect to")
        finally:
            request.url = asked

    async def aclose(self) -> None:
        await self._inner.aclose()


class Bounded(httpx2.AsyncBaseTransport):
    """Reads no more of an answer than PROMPTOPS_MAX_ANSWER_BYTES. `too_much` is why one was not read for its size."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.too_much: str | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.too_much:  # asking again would bring as much again
            raise TooMuchError(self.too_much)
        response = await self._inner.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":  # a few bytes can be gigabytes
            self.too_much = "the answer is compressed, which was not asked for"
            await response.aclose()
            raise TooMuchError(self.too_much)
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # what an asynchronous transport makes
        response.stream = _Counted(response.stream, self)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, owner: Bounded) -> None:
        self._inner, self._owner = inner, owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        limit: int = settings.PROMPTOPS_MAX_ANSWER_BYTES
        seen = 0
        async for chunk in self._inner:
            seen += len(chunk)
            if seen > limit:
                self._owner.too_much = f"the answer is over {limit} bytes"
                raise TooMuchError(self._owner.too_much)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class Candid(httpx2.AsyncBaseTransport):
    """Gives a failure that comes with status 200 the status that it means, if it is one that passes and comes alone.

    The client then repeats the call as it does after any answer of that status. Some providers send the head of their
    answer before they know that they have none. `last_status` is the status of the last answer.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.last_status: int | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        self.last_status = response.status_code
        if response.status_code != 200:
            return response
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # what an asynchronous transport makes
        begun = _Begun(response.stream)
        try:
            failure = await begun.failure()
        except BaseException:
            await begun.aclose()
            raise
        if failure is None or not failure.passes:
            response.stream = begun
            return response
        await begun.aclose()
        self.last_status = failure.status
        asked_to_wait = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
        told = {"error": {"message": failure.reason}}
        return httpx2.Response(failure.status or 500, headers=asked_to_wait, json=told, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Begun(httpx2.AsyncByteStream):
    """A body whose beginning was read already; iterating over it begins with that again."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner
        self._rest = aiter(inner)
        self._beginning: list[bytes] = []

    async def failure(self) -> Failure | None:
        """The failure that all of the body tells of, or its first event; None for what may be an answer."""
        events: Decoder | None = None
        kind: bool | None = None
        head, size = b"", 0
        async for piece in self._rest:
            self._beginning.append(piece)
            size += len(piece)
            if size > _MAX_FAILURE:
                return None
            if kind is None:
                head = (head + piece).lstrip()
                kind = are_events(head)
                if kind:
                    events, piece = Decoder(), b"".join(self._beginning)  # all that it was not given yet
            try:
                event = None if events is None else next(events.feed(piece), None)
            except UnicodeDecodeError:
                return None
            if event is not None:
                return failure_of(event.data) if event.name == "error" else _failure_in(event.data)
        return None if events else _failure_in(b"".join(self._beginning))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._beginning:
            yield piece
        self._beginning.clear()
        async for piece in self._rest:
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _failure_in(text: str | bytes) -> Failure | None:
    try:
        value = json.loads(text)
        return None if has_words(value) else failure_in(value)
    except (ValueError, RecursionError):
        return None
