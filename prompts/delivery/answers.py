"""Answers to fetches, prepared once and sent many times."""

from dataclasses import dataclass

from prompts import documents

#: The workspace's id and the environment's name.
Place = tuple[str, str]

CACHE_CONTROL = b"cache-control: private, no-cache\r\n"


@dataclass(slots=True)
class Answer:
    """A body, its entity tag, and the header lines that go with them, as they are sent."""

    body: bytes
    etag: bytes
    headers: bytes

    @classmethod
    def of(cls, text: str, etag: str | None = None) -> "Answer":
        body, tag = text.encode(), (etag or documents.etag_of(text)).encode()
        about = b"content-length: %d\r\ncontent-type: application/json; charset=utf-8\r\n" % len(body)
        return cls(body, tag, b"etag: %s\r\n%s%s" % (tag, about, CACHE_CONTROL))

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.body) + len(self.etag) + len(self.headers)
