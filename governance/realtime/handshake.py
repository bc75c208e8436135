"""The request that opens a stream: what it asks for, whether it may, and how it is refused."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from django.conf import settings

from governance.access import revision
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.exceptions import body
from governance.changes.changelog import REVISION_DIGITS
from governance.core.errors import DomainError, ForbiddenError, InvalidInputError
from governance.core.text import whole_number
from governance.identity.addresses import address_in
from governance.identity.authentication import authenticate
from governance.identity.credentials.bearer import bearer_of
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Workspace

MAX_QUERY_BYTES = 8192
#: Seconds after which it is worth to ask again, by status, where the error doesn't say.
RETRY_AFTER = {429: 10, 503: 1}

Scope = dict[str, Any]
Work = Callable[..., Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What a client asks for when it opens the stream.

    `since` is the last revision that it has seen, None if it doesn't follow revisions; `epoch` the line of revisions
    that it belongs to. `drafts`, `runs` and `deletes` ask for the frames of these.
    """

    token: str
    workspace: str | None
    namespace: str | None
    client: str
    app: str
    since: int | None
    epoch: str | None
    drafts: bool
    runs: bool
    deletes: bool
    origin: str | None
    host: str
    remote_addr: str
    user_agent: str

    @classmethod
    def of(cls, scope: Scope) -> "StreamRequest":
        """Read the handshake. Raises InvalidInputError for a `since` that is no number, NUL, a query too long."""
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            raise InvalidInputError(f"the query may have {MAX_QUERY_BYTES} bytes at most")
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        if any("\0" in value for value in query.values()):
            raise InvalidInputError("an address may hold no NUL character")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        since = whole_number(query["since"], digits=REVISION_DIGITS) if "since" in query else None
        if since is None and "since" in query:
            raise InvalidInputError.of("since", "expected a whole number of 0 or more")
        return cls(
            token=query.get("token") or bearer_of(headers.get("authorization", "")) or "",
            workspace=query.get("workspace"),
            namespace=query.get("namespace") or query.get("env"),
            client=query.get("client", "unknown")[:50],
            app=query.get("app", "")[:200],
            since=since,
            epoch=query.get("epoch"),
            drafts=query.get("drafts") == "1",
            runs=query.get("runs") == "1",
            deletes=query.get("deletes") == "1",
            origin=headers.get("origin"),
            host=headers.get("host", ""),
            remote_addr=address_in(scope),
            user_agent=headers.get("user-agent", "")[:300],
        )

    def origin_is_allowed(self, allowed: list[str]) -> bool:
        """Browsers send an `Origin`, other clients don't need one. The server's own is always allowed."""
        if self.origin is None or "*" in allowed or self.origin in allowed:
            return True
        try:
            return urlsplit(self.origin).netloc.lower() == self.host.lower()
        except ValueError:  # no URL at all
            return False


class Place(NamedTuple):
    """What a socket follows: an environment, or all of a workspace's (None)."""

    workspace_id: str
    environment: Environment | None


class Admission(NamedTuple):
    """A request, who made it as of that access revision, and the place it asks for: None if they see no such place."""

    request: StreamRequest
    access: int
    actor: Actor
    place: Place | None


async def admit(scope: Scope, work: Work) -> Admission:
    """Read the request and authenticate it; `work` runs a function on a thread that may use the database.

    Raises InvalidInputError, ForbiddenError for a foreign origin, UnauthorizedError, TooManyAttemptsError, and the
    database's errors.
    """
    request = StreamRequest.of(scope)
    if not request.origin_is_allowed(settings.PROMPTOPS_WS_ORIGINS):
        raise ForbiddenError("forbidden: this origin is not allowed")
    admission: Admission = await work(_authenticated, request)
    return admission


def _authenticated(request: StreamRequest) -> Admission:
    as_of = revision.current()  # read first: what changes from here on is noticed
    actor = authenticate(request.token, address=request.remote_addr)
    return Admission(request, as_of, actor, _place(request, actor))


def _place(request: StreamRequest, actor: Actor) -> Place | None:
    workspace_id = request.workspace or actor.workspace_id or DEFAULT_WORKSPACE
    if not visible_to(actor, Workspace.objects.filter(pk=workspace_id)).exists():
        return None
    # A revision belongs to one environment: who resumes without naming one means the one that a fetch would be from.
    name = request.namespace or actor.environment or (None if request.since is None else "prod")
    if name is None:
        return Place(workspace_id, None)
    found = visible_to(actor, Environment.objects.filter(workspace_id=workspace_id, name=name)).first()
    return Place(workspace_id, found) if found else None


def can_be_refused(scope: Scope) -> bool:
    """Whether the server can answer the handshake with a status of ours."""
    return "websocket.http.response" in scope.get("extensions", {})


async def refuse(send: Send, error: DomainError) -> None:
    """Answer the handshake with the error's status and body."""
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    seconds = RETRY_AFTER.get(error.status) if error.retry_after is None else error.retry_after
    if seconds is not None:
        headers.append((b"retry-after", b"%d" % seconds))
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    content = json.dumps(body(error.message, error.code)).encode()
    await send({"type": "websocket.http.response.body", "body": content})
