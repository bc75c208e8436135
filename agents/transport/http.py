"""The transports under every outgoing call: to checked addresses only, and with a limit on the answer.

It is loaded with the first call, because httpx2 takes long to load.
"""

import functools
import ssl
from collections.abc import AsyncIterator

import httpx2
from django.conf import settings

from agents.transport.outbound import Admitted


class TooMuchError(httpx2.TransportError):
    """The answer is over the limit of what is read, or compressed so that nobody knows how long it is."""


@functools.cache
def tls() -> ssl.SSLContext:
    """The TLS settings of every call, made once: reading the certificates takes longer than a call."""
    return ssl.create_default_context()


class Guarded(httpx2.AsyncBaseTransport):
    """Connects to the addresses that were admitted, even if the name leads elsewhere by now.

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
    """Reads at most PROMPTOPS_MAX_ANSWER_BYTES of an answer, then raises TooMuchError."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":  # a few bytes can be gigabytes
            await response.aclose()
            raise TooMuchError("the answer is compressed, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # what an asynchronous transport makes
        response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        limit: int = settings.PROMPTOPS_MAX_ANSWER_BYTES
        seen = 0
        async for chunk in self._inner:
            seen += len(chunk)
            if seen > limit:
                raise TooMuchError(f"the answer is over {limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
