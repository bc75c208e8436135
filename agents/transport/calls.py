"""The HTTP call that everything in the server makes: model providers, tools of agents and steps of workflows.

It goes through the guard of outgoing addresses, follows no redirect, takes no proxy, header or key from the environment
and reads an answer up to a limit. `send` opens a call and leaves its body to be read; `call` returns a whole answer.
"""

import asyncio
import codecs
import functools
import gc
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.transport import outbound
from governance.api.parsing import storable
from governance.core.errors import ProviderError
from governance.core.text import whole_number

if TYPE_CHECKING:
    import httpx2

#: Headers that a call has unless it brings its own. A compressed answer could be of any size.
HEADERS = {
    "Accept": "application/json, text/*;q=0.9, */*;q=0.5",
    "Accept-Encoding": "identity",
    "User-Agent": "PromptOps",
}
_CHARSET = re.compile(r';\s*charset="?([A-Za-z0-9_.:-]{1,40})"?', re.IGNORECASE)
#: Python has these among its encodings of texts; they take a time that is not linear, or are no charsets of the web.
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"}


class UnansweredError(Exception):
    """The call could not be made, or its answer not be read. `message` is a clause such as "it could not be ..."."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer whose body is still to be read, in pieces of bytes."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer.

    `retry_after` is in seconds, where the other side asks to wait. `raw` is the body as it came; `text` is that without
    the secrets that were sent and without characters that can't be stored.
    """

    status: int
    content_type: str
    retry_after: int | None
    raw: bytes
    secrets: Mapping[str, str]

    @property
    def says_json(self) -> bool:
        name = self.content_type.partition(";")[0].strip().lower()
        return name == "application/json" or name.endswith("+json")

    @property
    def text(self) -> str:
        """The body by its charset; what is no text in that is replaced."""
        return storable(self._decoded("replace"))

    @property
    def exact_text(self) -> str:
        """The same. Raises UnansweredError for what is no text in its charset."""
        try:
            return self._decoded("strict")
        except UnicodeDecodeError:
            raise UnansweredError(f"it is not {charset_of(self.content_type)}") from None

    def _decoded(self, errors: str) -> str:
        return without(self.raw.decode(charset_of(self.content_type), errors).removeprefix("\ufeff"), self.secrets)


@functools.cache
def warm_up() -> None:
    """Load what the first call would have to load, which takes a while: blocking, and cheap from the second time on."""
    from agents.transport import http  # brings httpx2, which takes too long to load for the start of a process

    http.tls()
    gc.freeze()  # what was loaded stays: going through it in every collection held up the process, 30 ms at a time


def connection(admitted: outbound.Admitted) -> "httpx2.AsyncBaseTransport":
    """A connection for one request to what the guard admitted."""
    from agents.transport import http  # brings httpx2

    return http.Guarded(admitted)


@asynccontextmanager
async def send(
    method: str,
    url: str,
    *,
    transport: "httpx2.AsyncBaseTransport",
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> AsyncIterator[OpenAnswer]:
    """Send one request by a `connection` and open its answer; the connection is closed with the context.

    Raises UnansweredError when the connection fails, also while the body is read inside the context.
    """
    import httpx2  # loaded by warm_up

    from agents.transport import http  # brings httpx2

    bounded = http.Bounded(transport)
    encoded = {name.encode(): value.encode() for name, value in headers.items()}
    try:
        response = await bounded.handle_async_request(httpx2.Request(method, url, headers=encoded, content=content))
        try:
            assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # of an asynchronous transport
            yield OpenAnswer(response.status_code, response.headers, aiter(response.stream))
        finally:
            await response.aclose()
    except httpx2.LocalProtocolError:  # its text repeats the header that can't be sent, which may be a secret
        cause = "a header has a value that HTTP can't carry, such as one with a space at its beginning or end"
        raise UnansweredError(f"it could not be reached: {cause}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        cause = " ".join(str(error).split())[:500] or type(error).__name__
        raise UnansweredError(f"it could not be reached: {cause}") from None
    finally:
        await bounded.aclose()


async def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    secrets: Mapping[str, str],
    content: bytes | None,
    seconds: float,
    limit: int,
) -> Answer:
    """Make a call and read all of its answer, at most `limit` bytes. `secrets` are headers too.

    Raises TimeoutError when it takes more than so many seconds, and UnansweredError when nothing came back that can be
    read, or the guard does not let the call out.
    """
    own = {name.lower() for name in (*headers, *secrets)}
    defaults = {name: value for name, value in HEADERS.items() if name.lower() not in own}
    try:
        async with asyncio.timeout(seconds):
            transport = connection(await outbound.admit(_origin_of(url)))
            sent = {**defaults, **headers, **secrets}
            async with send(method, url, transport=transport, headers=sent, content=content) as answer:
                raw = bytearray()
                async for piece in answer.body:
                    raw += piece
                    if len(raw) > limit:
                        raise UnansweredError(f"it answered with over {limit} bytes")
                return Answer(
                    status=answer.status,
                    content_type=answer.headers.get("Content-Type", ""),
                    retry_after=retry_after_of(answer.headers),
                    raw=bytes(raw),
                    secrets=secrets,
                )
    except ProviderError as error:
        raise UnansweredError(error.message) from None
    except UnansweredError as error:
        raise UnansweredError(without(error.message, secrets)) from None


def charset_of(content_type: str) -> str:
    """The encoding that a content type names; UTF-8 if it names none, or none that texts are written in."""
    named = _CHARSET.search(content_type)
    try:
        found = codecs.lookup(named[1]) if named else None
    except (LookupError, ValueError):
        found = None
    # An encoding that is not of texts may unpack, for example, so that a few bytes become gigabytes.
    if found is None or not getattr(found, "_is_text_encoding", False) or found.name.replace("-", "_") in _NO_CHARSETS:
        return "utf-8"
    return found.name


def without(text: str, secrets: Mapping[str, str]) -> str:
    """`text` without the secrets, should the other side repeat them; also without their scheme, such as Bearer."""
    for name, value in secrets.items():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= 8:
                text = text.replace(secret, f"[{name}]")
    return text


def retry_after_of(headers: Mapping[str, str]) -> int | None:
    """The seconds that an answer asks to wait, when it says so in figures (RFC 9110, 10.2.3)."""
    return whole_number(headers.get("Retry-After", ""), digits=6)


def _origin_of(url: str) -> str:
    """Scheme, host and port: the guard looks at where a call goes, and not at its path and query."""
    return "/".join(url.partition("?")[0].split("/")[:3])
