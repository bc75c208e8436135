"""The SDK fetch, answered from memory before Django is asked.

Whatever it is not sure of it passes on to the DRF views, which are the reference: another method, a token or a place it
does not know yet, a pinned version, a key that is not there, a database that has not been heard of for a second.
"""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from governance.actors import Actor
from governance.concurrency import matches_none
from governance.logs import new_request_id
from governance.models import DEFAULT_WORKSPACE
from governance.token_cache import TokenCache
from prompts.catalog import CACHE_CONTROL, Answer, Catalog, Shelf

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
#: Writes status, header lines and body at once, where the server lets it; False where it doesn't.
Write = Callable[[Send, int, bytes, bytes], bool]

PATH = "/api/sdk/prompts"
DEFAULT_ENV = "prod"
MEMORIZED_QUERIES = 1024
#: Answers of this process by their status, for those who watch it.
served: Counter[int] = Counter()
_PLAIN_UNIT = re.compile(rb"[A-Za-z0-9_.:@-]+")


class Query(NamedTuple):
    env: str
    workspace: str
    unit: str


class FastLane:
    """An ASGI application before another. `load` asks for a place to be brought into the catalog; it must not wait."""

    def __init__(
        self,
        application: Application,
        *,
        catalog: Catalog,
        tokens: TokenCache,
        load: Callable[[str, str], None],
        write: Write = lambda send, status, headers, body: False,
    ) -> None:
        self._application = application
        self._catalog = catalog
        self._tokens = tokens
        self._load = load
        self._write = write
        self._queries: dict[bytes, Query | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATH) and scope["method"] == "GET":
            answer = self._answer(scope)
            if answer is not None:
                status, headers, body = answer
                served[status] += 1
                if not self._write(send, status, headers, body):
                    lines = [line.partition(b": ") for line in headers.split(b"\r\n") if line]
                    pairs = [(name, value) for name, _, value in lines]
                    await send({"type": "http.response.start", "status": status, "headers": pairs})
                    await send({"type": "http.response.body", "body": body})
                return
        await self._application(scope, receive, send)

    def _answer(self, scope: Scope) -> tuple[int, bytes, bytes] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"origin" in headers:
            return None  # a browser from elsewhere: CORS is Django's
        query = self._query(scope["query_string"])
        actor = self._tokens.find(headers.get(b"authorization", b""), time.time())
        if query is None or actor is None:
            return None
        place = _place(query, actor)
        if place is None:
            return None
        shelf = self._catalog.find(*place)
        if shelf is None:
            self._load(*place)
            return None
        answer = _choose(shelf, scope["path"], query.unit)
        return _respond(shelf, answer, headers) if answer is not None else None

    def _query(self, raw: bytes) -> Query | None:
        """The query's words; None when it asks for what is not here. Those without a unit are few, and remembered."""
        try:
            return self._queries[raw]
        except KeyError:
            pass
        rest, marked, unit = raw.rpartition(b"&unit=")
        if (
            marked and len(raw) <= 4096 and _PLAIN_UNIT.fullmatch(unit)
        ):  # the usual: one unit, at the end, with nothing to unquote
            query = self._query(rest)
            return query and Query(query.env, query.workspace, unit.decode("ascii"))
        query = _parse(raw)
        if query is None or not query.unit:
            if len(self._queries) >= MEMORIZED_QUERIES:
                self._queries.clear()
            self._queries[raw] = query
        return query


def _parse(raw: bytes) -> Query | None:
    if len(raw) > 4096 or not raw.isascii() or b"%00" in raw:
        return None
    text = raw.decode("ascii")
    if "%" in text or "+" in text or ";" in text:
        words = dict(parse_qsl(text, keep_blank_values=True))
    else:  # nothing to unquote
        words = {name: value for name, _, value in (pair.partition("=") for pair in text.split("&"))}
    if words.get("version"):
        return None
    return Query(words.get("env", ""), words.get("workspace", ""), words.get("unit", ""))


def _place(query: Query, actor: Actor) -> tuple[str, str] | None:
    """Where the request looks, by the views' rules; None unless the actor surely sees it."""
    workspace = query.workspace or actor.workspace_id or DEFAULT_WORKSPACE
    env = query.env or actor.environment or DEFAULT_ENV
    if actor.workspace_id is not None:
        bound = actor.workspace_id == workspace and actor.environment in (None, env)
        return (workspace, env) if bound else None
    return (workspace, env) if actor.sees_all else None


def _choose(shelf: Shelf, path: str, unit: str) -> Answer | None:
    if path == PATH:
        return shelf.listing()
    entry = shelf.entries.get(path[len(PATH) + 1 :]) if path[len(PATH)] == "/" else None
    return entry.answer_for(unit or None) if entry is not None else None


def _respond(shelf: Shelf, answer: Answer, headers: dict[bytes, bytes]) -> tuple[int, bytes, bytes]:
    """Status, header lines and body."""
    identity = new_request_id(headers.get(b"x-request-id", b"").decode("latin-1")).encode()
    own = b"x-promptops-revision: %d\r\nx-request-id: %s\r\n" % (shelf.revision, identity)
    known = headers.get(b"if-none-match")
    if known is not None and (known == answer.etag or matches_none(known.decode("latin-1"), answer.etag.decode())):
        return 304, b"etag: %s\r\n%s%s" % (answer.etag, CACHE_CONTROL, own), b""
    return 200, answer.headers + own, answer.body
