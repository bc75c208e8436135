"""One HTTP call for a tool or for a step of a workflow: through the guard of outgoing addresses,
bounded in time and size, no redirect followed."""

import asyncio
import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agents.transport import outbound
from governance.api.parsing import storable
from governance.core.errors import ProviderError
from governance.core.text import whole_number

#: Headers that are sent unless the tool or step has its own. A compressed answer could be of any size.
HEADERS = {
    "Accept": "application/json, text/*;q=0.9, */*;q=0.5",
    "Accept-Encoding": "identity",
    "User-Agent": "PromptOps",
}
_CHARSET = re.compile(r';\s*charset="?([A-Za-z0-9_.:-]{1,40})"?', re.IGNORECASE)
#: Python has these among its encodings of texts; they take a time that is not linear, or are no charsets of the web.
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"}


class UnansweredError(Exception):
    """The call could not be made, or its answer not be read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`retry_after` is in seconds, where the other side asks to wait. `raw` is what came; `text` is that without our
    secrets and without characters that can't be stored."""

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
        """The answer by its charset; what is no text in that is replaced."""
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
    """Make the call. `secrets` are headers too. At most `limit` bytes of the answer are read.

    Raises TimeoutError when it takes more than so many seconds, UnansweredError when nothing came back that can be
    read, and when the guard does not let the call out.
    """
    import httpx2  # comes with openai, which is loaded with the first call

    from agents.transport import http  # brings httpx2

    given = {name.lower() for name in (*headers, *secrets)}
    said = {name: value for name, value in HEADERS.items() if name.lower() not in given}
    sent = {name.encode(): value.encode() for name, value in {**said, **headers, **secrets}.items()}
    try:
        async with asyncio.timeout(seconds):
            guarded = http.Guarded(await outbound.admit(_without_query(url)))
            caller = httpx2.AsyncClient(
                transport=http.Bounded(guarded), follow_redirects=False, trust_env=False, timeout=None
            )
            async with caller:
                caller.headers.clear()  # what the package would say of itself
                async with caller.stream(method, url, headers=sent, content=content) as answer:
                    raw = bytearray()
                    async for piece in answer.aiter_bytes():
                        raw += piece
                        if len(raw) > limit:
                            raise UnansweredError(f"it answered with over {limit} bytes")
                    return Answer(
                        status=answer.status_code,
                        content_type=answer.headers.get("Content-Type", ""),
                        retry_after=retry_after_of(answer.headers),
                        raw=bytes(raw),
                        secrets=secrets,
                    )
    except ProviderError as error:
        raise UnansweredError(error.message) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        why = without(" ".join(str(error).split())[:500], secrets)
        raise UnansweredError(f"it could not be reached: {why or type(error).__name__}") from None


def charset_of(content_type: str) -> str:
    """The encoding that a content type names; UTF-8 if it names none, or none that texts are written in."""
    named = _CHARSET.search(content_type)
    try:
        found = codecs.lookup(named[1]) if named else None
    except (LookupError, ValueError):
        found = None
    # What is no encoding of texts unpacks, for example, and a few bytes can be gigabytes then.
    if found is None or not getattr(found, "_is_text_encoding", False) or found.name.replace("-", "_") in _NO_CHARSETS:
        return "utf-8"
    return found.name


def without(text: str, secrets: Mapping[str, str]) -> str:
    """`text` without our secrets, should the other side repeat them; also without their scheme, such as Bearer."""
    for name, value in secrets.items():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= 8:
                text = text.replace(secret, f"[{name}]")
    return text


def _without_query(url: str) -> str:
    """The guard looks at where a call goes, and not at what it asks there."""
    return "/".join(url.partition("?")[0].split("/")[:3])


def retry_after_of(headers: Mapping[str, str]) -> int | None:
    """The seconds that an answer asks to wait, when it says so in figures (RFC 9110, 10.2.3)."""
    return whole_number(headers.get("Retry-After", ""), digits=6)
