"""What goes over the wire: the query that opens a stream, the frames, the close codes (contract, section 6)."""

import json
import uuid
from dataclasses import dataclass
from typing import Any, Literal, TypedDict
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from governance.changes.changelog import REVISION_DIGITS
from governance.changes.models import Change
from governance.core.errors import InvalidInputError
from governance.core.text import whole_number
from governance.identity.addresses import address_in
from governance.identity.credentials.bearer import bearer_of

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_QUERY_BYTES = 8192

CREDENTIAL_REVOKED = 4401
NOT_ALLOWED_THERE = 4403
RESYNC_NEEDED = 4409
TOO_SLOW = 4410
TRY_AGAIN = 1012  # RFC 6455's registry: service restart


class Heartbeat(TypedDict):
    """Sent in silence. `revision` is the highest of the environments that the socket follows."""

    type: Literal["heartbeat"]
    revision: int


class Hello(TypedDict):
    """The first frame for who said `since`: what follows is each change after it, or a snapshot."""

    type: Literal["hello"]
    revision: int
    epoch: str
    resumed: bool


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Frame:
    """A change as text, made once for all sockets. `draft_text` is for those that ask for drafts: a draft that others
    do not get at all, and for them every revision follows the one before it."""

    change: Change
    text: str | None
    draft_text: str

    @property
    def environment_id(self) -> uuid.UUID:
        return self.change.environment_id

    @property
    def revision(self) -> int:
        return self.change.revision

    @property
    def deletes(self) -> bool:
        """Whether it tells of a deletion, of which some clients can't make anything."""
        return self.change.type == "prompt.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What a client asks for when it opens the stream."""

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
    def of(cls, scope: dict[str, Any]) -> "StreamRequest":
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
        """Browsers say where they come from; what says nothing is no browser. The server's own origin may always."""
        if self.origin is None or "*" in allowed or self.origin in allowed:
            return True
        try:
            return urlsplit(self.origin).netloc.lower() == self.host.lower()
        except ValueError:  # no URL at all
            return False


def encode(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


#: Frames that still wait to be sent: another reader of the same change gets the same texts.
_frames: WeakValueDictionary[tuple[Any, ...], Frame] = WeakValueDictionary()


def frame_of(change: Change, *, workspace: str, env: str) -> Frame:
    """The frame of a change, its document put in as the text that it is kept as."""
    key = (change.pk, change.created_at, change.environment_id, change.revision)
    frame = _frames.get(key)
    if frame is None:
        frame = _frames[key] = _made(change, workspace, env)
    return frame


def _made(change: Change, workspace: str, env: str) -> Frame:
    draft_text = _change_text(change, workspace, env, change.revision - 1)
    text = None
    if change.served:
        follows = change.prev_served == change.revision - 1
        text = draft_text if follows else _change_text(change, workspace, env, change.prev_served)
    return Frame(change, text, draft_text)


def _change_text(change: Change, workspace: str, env: str, prev_revision: int) -> str:
    head = encode(
        {
            "type": change.type,
            "id": str(change.resource_id),
            "key": change.key,
            "env": env,
            "version": change.version,
            "workspace": workspace,
            "revision": change.revision,
            "prev_revision": prev_revision,
            "etag": change.etag,
        }
    )
    document = change.document or "null"
    if len(document) > MAX_DOCUMENT_BYTES or len(document.encode()) > MAX_DOCUMENT_BYTES:
        document = "null"
    return f'{head[:-1]},"document":{document}}}'


def snapshot_text(revision: int, documents: list[str]) -> str:
    return f'{{"type":"snapshot","revision":{revision},"documents":[{",".join(documents)}]}}'
