"""Failures that providers send with status 200, found before the body is taken for an answer.

Some providers send the head of their answer before they know that they have none.
"""

import json
from collections.abc import AsyncIterator

from agents.providers.openai_compatible.failures import Failure, failure_in, failure_of
from agents.providers.openai_compatible.reading import has_words
from governance.realtime.events import Decoder, are_events

#: Bytes within which a failure has to be found. A longer body is taken for an answer.
_MAX_FAILURE = 64 * 1024


class PeekedBody:
    """A body of which the beginning is read ahead; to iterate over it begins with that again."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._rest = body
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


def _failure_in(text: str | bytes) -> Failure | None:
    try:
        value = json.loads(text)
        return None if has_words(value) else failure_in(value)
    except (ValueError, RecursionError):
        return None
