"""Failures that providers send with status 200, found before the openai package takes them for answers.

Some providers send the head of their answer before they know that they have none.
"""

import json
from collections.abc import AsyncIterator

import httpx2

from agents.providers.openai_compatible.failures import Failure, failure_in, failure_of
from agents.providers.openai_compatible.reading import has_words
from governance.realtime.events import Decoder, are_events

#: Bytes within which a failure has to be found. A longer body is taken for an answer.
_MAX_FAILURE = 64 * 1024


class Peeking(httpx2.AsyncBaseTransport):
    """Gives a failure that comes with status 200 the status that it means, if it may pass.

    The openai package then repeats the call as it does after any answer of that status. `last_status` is the status of
    the last answer.
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
        body = _PeekedBody(response.stream)
        try:
            failure = await body.failure()
        except BaseException:
            await body.aclose()
            raise
        if failure is None or not failure.may_pass:
            response.stream = body
            return response
        await body.aclose()
        self.last_status = failure.status
        headers = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
        content = {"error": {"message": failure.reason}}
        return httpx2.Response(failure.status or 500, headers=headers, json=content, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _PeekedBody(httpx2.AsyncByteStream):
    """A body of which the beginning is read ahead; to iterate over it begins with that again."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body
        self._rest = aiter(body)
        self._beginning: list[bytes] = []

    async def failure(self) -> Failure | None:
        """The failure that the whole body, or the first event of it, is about; None for what may be an answer."""
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
                    events, piece = Decoder(), b"".join(self._beginning)  # all that it has not read yet
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
        await self._body.aclose()


def _failure_in(text: str | bytes) -> Failure | None:
    try:
        value = json.loads(text)
        return None if has_words(value) else failure_in(value)
    except (ValueError, RecursionError):
        return None
