"""The SDK fetch, answered from memory before Django is asked.

Whatever can't be answered surely from memory is passed on to the DRF views, which are the reference: another method, a
token or an environment that is not in memory yet, a key that is not there.

While the database is away, the views could only wait for it in vain, each on a thread. Then everything is answered
here: with what is in memory, marked with its age, else with 503.
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
from prompts.delivery.answers import CACHE_CONTROL, Answer, Place
from prompts.delivery.catalog import Catalog, EnvironmentSnapshot
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
CACHED_QUERIES = 1024
#: Seconds between two looks of the tail that fetches ask for; those that come between share the next one.
LOOKS_APART = 0.02
#: How many answers this process has given, by their status: for its metrics.
served: Counter[int] = Counter()
_PLAIN_UNIT = re.compile(rb"[A-Za-z0-9_.:@-]+")


class Query(NamedTuple):
    env: str
    workspace: str
    unit: str
    version: str = ""
    min_revision: int = 0


class FastLane:
    """An ASGI application before another.

    `load` starts to load an environment into the catalog, `look` makes the tail look at the database; neither waits.
    `look` returns False where no tail runs.
    """

    def __init__(
        self,
        application: Application,
        *,
        catalog: Catalog,
        tokens: TokenCache,
        load: Callable[[Place], None],
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
        """The answer that can be given at once; None when the views have to be asked."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"origin" in headers:
            return None  # a browser from elsewhere: CORS is Django's
        query = self._query(scope["query_string"])
        actor = self._tokens.find(headers.get(b"authorization", b""), time.time())
        if query is None or actor is None:
            return None
        place = self._place(query, actor)
        if place is None:
            return None
        snapshot = self._catalog.find(place)
        if snapshot is None:
            if not self._catalog.away:
                self._load(place)
            return None
        if snapshot.revision < query.min_revision:
            return None
        answer = self._choose(snapshot, scope["path"], query)
        return _respond(snapshot, answer, headers) if answer is not None else None

    async def _waited(self, scope: Scope) -> Sendable | None:
        """The answer after a short wait that holds no thread: for a look at the database, or for a revision."""
        catalog = self._catalog
        if not (catalog.away or catalog.fresh) and self._look():
            await catalog.wait_for_look()
            return self._stale(scope) if catalog.away else self._answer(scope)
        if catalog.away:
            return self._stale(scope)
        query = self._query(scope["query_string"])
        if query is None or not query.min_revision:
            return None
        actor = self._tokens.find(dict(scope["headers"]).get(b"authorization", b""), time.time())
        place = self._place(query, actor) if actor is not None else None
        if place is None or catalog.find_any(place) is None:
            return None
        await asyncio.sleep(max(0.0, LOOKS_APART - catalog.age))
        if not self._look():
            return None
        await catalog.wait_for_revision(place, query.min_revision)
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
        place = self._place(query, actor) if query is not None and actor is not None else None
        snapshot = self._catalog.find_any(place) if place is not None else None
        if query is not None and snapshot is not None and age <= settings.PROMPTOPS_SERVE_STALE_SECONDS:
            answer = self._choose(snapshot, scope["path"], query) if snapshot.revision >= query.min_revision else None
            if answer is not None:
                return _respond(snapshot, answer, headers, more=b"x-promptops-stale: %d\r\n%s" % (age, _cors(headers)))
        return _unavailable(headers)

    def _query(self, raw: bytes) -> Query | None:
        """The query's parameters; None for what only the views answer. Queries without a unit are few, and cached."""
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
            if len(self._queries) >= CACHED_QUERIES:
                self._queries.clear()
            self._queries[raw] = query
        return query

    def _place(self, query: Query, actor: Actor) -> Place | None:
        """The environment that the request asks for, by the views' rules; None unless the actor surely sees it."""
        workspace = query.workspace or actor.workspace_id or DEFAULT_WORKSPACE
        env = query.env or actor.environment or DEFAULT_ENV
        if actor.workspace_id is not None:
            sees = actor.workspace_id == workspace and actor.environment in (None, env)
        else:
            sees = actor.sees_all or self._tokens.is_member(actor, workspace)
        return (workspace, env) if sees else None

    def _choose(self, snapshot: EnvironmentSnapshot, path: str, query: Query) -> Answer | None:
        if path == PATH:
            return snapshot.listing()
        if path[len(PATH)] != "/":
            return None
        key = path[len(PATH) + 1 :]
        if query.version:
            return self._catalog.pinned.find(snapshot.place, key, query.version)
        entry = snapshot.entries.get(key)
        return entry.answer_for(query.unit or None) if entry is not None else None


def _parse(raw: bytes) -> Query | None:
    if len(raw) > 4096 or not raw.isascii() or b"%00" in raw:
        return None
    text = raw.decode("ascii")
    if "%" in text or "+" in text or ";" in text:
        words = dict(parse_qsl(text, keep_blank_values=True))
    else:  # nothing to unquote
        words = {name: value for name, _, value in (pair.partition("=") for pair in text.split("&"))}
    least = whole_number(words.get("min_revision") or "0", digits=REVISION_DIGITS)
    if least is None:
        return None
    return Query(
        env=words.get("env", ""),
        workspace=words.get("workspace", ""),
        unit=words.get("unit", ""),
        version=words.get("version", ""),
        min_revision=least,
    )


def _respond(
    snapshot: EnvironmentSnapshot, answer: Answer, headers: dict[bytes, bytes], *, more: bytes = b""
) -> Sendable:
    request_id = _request_id(headers)
    own = b"x-promptops-revision: %d\r\nx-request-id: %s\r\n%s" % (snapshot.revision, request_id.encode(), more)
    known = headers.get(b"if-none-match")
    if known is not None and (known == answer.etag or matches_none(known.decode("latin-1"), answer.etag.decode())):
        return 304, b"etag: %s\r\n%s%s" % (answer.etag, CACHE_CONTROL, own), b""
    return 200, answer.headers + own, answer.body


def _unavailable(headers: dict[bytes, bytes]) -> Sendable:
    content, also = unavailable()
    content["request_id"] = request_id = _request_id(headers)
    body = json.dumps(content).encode()
    lines = {"Content-Type": "application/json; charset=utf-8", "Content-Length": len(body), "X-Request-ID": request_id}
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in {**lines, **also}.items())
    return 503, head.encode() + _cors(headers), body


def _request_id(headers: dict[bytes, bytes]) -> str:
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
