"""The SDK fetch, answered from memory before Django is asked.

Whatever it is not sure of it passes on to the DRF views, which are the reference: another method, a token or a place it
does not know yet, a pinned version, a key that is not there.

While the database is away the views could only wait for it in vain, each on a thread. Then the lane answers by itself:
what it knows, marked with its age, and 503 for the rest.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.conf import settings

from governance.access.actors import Actor
from governance.api.concurrency import matches_none
from governance.api.exceptions import unavailable
from governance.changes.changelog import REVISION_DIGITS
from governance.core.logs import new_request_id
from governance.core.text import whole_number
from governance.identity.authentication import STATIC_ACTOR, is_static_token
from governance.identity.credentials.bearer import bearer_of
from governance.identity.credentials.token_cache import TokenCache
from governance.tenancy.models import DEFAULT_WORKSPACE
from prompts.delivery.catalog import CACHE_CONTROL, Answer, Catalog, Shelf
from prompts.documents import DEFAULT_ENV

Scope = dict[str, Any]
#: Status, header lines and body.
Sendable = tuple[int, bytes, bytes]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
#: Writes status, header lines and body at once, where the server lets it; False where it doesn't.
Write = Callable[[Send, int, bytes, bytes], bool]

PATH = "/api/sdk/prompts"
MEMORIZED_QUERIES = 1024
#: Seconds between two looks of the tail that fetches ask for; those that come between share the next one.
LOOKS_APART = 0.02
#: Answers of this process by their status, for those who watch it.
served: Counter[int] = Counter()
_PLAIN_UNIT = re.compile(rb"[A-Za-z0-9_.:@-]+")


class Query(NamedTuple):
    env: str
    workspace: str
    unit: str
    min_revision: int = 0


class FastLane:
    """An ASGI application before another.

    `load` asks for a place to be brought into the catalog, `look` for a look at the database; neither waits. `look` is
    False where nobody looks.
    """

    def __init__(
        self,
        application: Application,
        *,
        catalog: Catalog,
        tokens: TokenCache,
        load: Callable[[str, str], None],
        look: Callable[[], bool] = lambda: False,
        write: Write = lambda send, status, headers, body: False,
    ) -> None:
        self._application = application
        self._catalog = catalog
        self._tokens = tokens
        self._load = load
        self._look = look
        self._write = write
        self._queries: dict[bytes, Query | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATH) and scope["method"] == "GET":
            answer = self._answer(scope) or await self._waited(scope)
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

    def _answer(self, scope: Scope) -> Sendable | None:
        """The answer that can be given at once; None when the lane is not sure of it."""
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
            if not self._catalog.away:
                self._load(*place)
            return None
        if shelf.revision < query.min_revision:
            return None
        answer = _choose(shelf, scope["path"], query.unit)
        return _respond(shelf, answer, headers) if answer is not None else None

    async def _waited(self, scope: Scope) -> Sendable | None:
        """The answer after a short wait that holds no thread: for a look at the database, or for a revision."""
        catalog = self._catalog
        if not (catalog.away or catalog.fresh) and self._look():
            await catalog.hear()
            return self._stale(scope) if catalog.away else self._answer(scope)
        if catalog.away:
            return self._stale(scope)
        query = self._query(scope["query_string"])
        if query is None or not query.min_revision:
            return None
        actor = self._tokens.find(dict(scope["headers"]).get(b"authorization", b""), time.time())
        place = _place(query, actor) if actor is not None else None
        if place is None or catalog.known(*place) is None:
            return None
        await asyncio.sleep(max(0.0, LOOKS_APART - catalog.age))
        if not self._look():
            return None
        await catalog.reach(*place, query.min_revision)
        return self._stale(scope) if catalog.away else self._answer(scope)

    def _stale(self, scope: Scope) -> Sendable | None:
        """The answer while the database is away; None for what the views refuse without a database."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        secret = bearer_of(headers.get(b"authorization", b"").decode("latin-1"))
        if not secret or b"%00" in scope["query_string"]:
            return None
        # Tokens can't be checked either: those that were seen here stay valid until they expire.
        known = self._tokens.find(b"Bearer " + secret.encode("latin-1"), time.time())
        actor = STATIC_ACTOR if is_static_token(secret) else known
        query, age = self._query(scope["query_string"]), self._catalog.age
        place = _place(query, actor) if query is not None and actor is not None else None
        shelf = self._catalog.known(*place) if place is not None else None
        if query is not None and shelf is not None and age <= settings.PROMPTOPS_SERVE_STALE_SECONDS:
            answer = _choose(shelf, scope["path"], query.unit) if shelf.revision >= query.min_revision else None
            if answer is not None:
                return _respond(shelf, answer, headers, more=b"x-promptops-stale: %d\r\n%s" % (age, _cors(headers)))
        return _unavailable(headers)

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
            return query and query._replace(unit=unit.decode("ascii"))
        query = _parse(raw)
        if query is None or not (query.unit or query.min_revision):
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
    least = whole_number(words.get("min_revision") or "0", digits=REVISION_DIGITS)
    if words.get("version") or least is None:
        return None
    return Query(words.get("env", ""), words.get("workspace", ""), words.get("unit", ""), least)


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


def _respond(shelf: Shelf, answer: Answer, headers: dict[bytes, bytes], *, more: bytes = b"") -> Sendable:
    identity = _identity(headers)
    own = b"x-promptops-revision: %d\r\nx-request-id: %s\r\n%s" % (shelf.revision, identity.encode(), more)
    known = headers.get(b"if-none-match")
    if known is not None and (known == answer.etag or matches_none(known.decode("latin-1"), answer.etag.decode())):
        return 304, b"etag: %s\r\n%s%s" % (answer.etag, CACHE_CONTROL, own), b""
    return 200, answer.headers + own, answer.body


def _unavailable(headers: dict[bytes, bytes]) -> Sendable:
    content, also = unavailable()
    content["request_id"] = identity = _identity(headers)
    body = json.dumps(content).encode()
    lines = {"Content-Type": "application/json; charset=utf-8", "Content-Length": len(body), "X-Request-ID": identity}
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in {**lines, **also}.items())
    return 503, head.encode() + _cors(headers), body


def _identity(headers: dict[bytes, bytes]) -> str:
    return new_request_id(headers.get(b"x-request-id", b"").decode("latin-1"))


def _cors(headers: dict[bytes, bytes]) -> bytes:
    """The headers by which pages of an allowed origin may read the answer, as the CORS middleware sends them."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        return b""
    lines = {"vary": "origin"}
    if origin in settings.CORS_ALLOWED_ORIGINS:
        lines["access-control-allow-origin"] = origin
        lines["access-control-expose-headers"] = ", ".join(settings.CORS_EXPOSE_HEADERS)
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
