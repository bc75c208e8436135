"""Failures that providers send with status 200, seen before the client takes them for answers."""

import json
from collections.abc import AsyncIterator

import httpx2

from agents.providers.answers.events import Decoder, are_events
from agents.providers.answers.failures import Failure, failure_in, failure_of
from agents.providers.answers.reading import has_words

#: Bytes in which a failure has to be told. A longer body is taken for an answer.
_MAX_FAILURE = 64 * 1024


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
