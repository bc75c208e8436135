"""Server-sent events out of bytes as they come (WHATWG HTML, 9.2.6), in time that is linear in the bytes."""

from collections.abc import Iterator
from typing import NamedTuple

_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LONGEST = max(map(len, _BEGINNINGS))


class Event(NamedTuple):
    name: str
    data: str


def are_events(beginning: bytes) -> bool | None:
    """Whether a body that begins so is a stream of events; None when more of it has to be seen."""
    head = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_BEGINNINGS):
        return True
    return None if any(one.startswith(head) for one in _BEGINNINGS) else False


class Decoder:
    """Lines end with CR LF, LF or CR, which may be torn apart between two pieces."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._after_return = False
        self._begun = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that are whole with this piece. Raises UnicodeDecodeError for what is no UTF-8."""
        if self._after_return and piece:
            piece, self._after_return = piece.removeprefix(b"\n"), False
        for line in piece.splitlines(keepends=True):
            self._line.append(line)
            if line.endswith((b"\n", b"\r")):
                self._after_return = line.endswith(b"\r")
                yield from self._take_line()

    def end(self) -> Iterator[Event]:
        """The last event, which some providers don't end with an empty line."""
        yield from self._take_line()
        yield from self._dispatch()

    def _take_line(self) -> Iterator[Event]:
        line = b"".join(self._line).rstrip(b"\r\n").decode()
        self._line.clear()
        if not self._begun:
            self._begun, line = True, line.removeprefix("\ufeff")
        if not line:
            yield from self._dispatch()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value

    def _dispatch(self) -> Iterator[Event]:
        if self._data:
            yield Event(self._name, "\n".join(self._data))
        self._name = ""
        self._data.clear()
