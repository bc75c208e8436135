"""Changes as texts, each made once for all sockets of this process."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

from governance.changes.models import Change
from governance.realtime import frames
from governance.realtime.frames import ChangeType, JsonText

#: A larger document is not sent: the client fetches it.
MAX_DOCUMENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EncodedChange:
    """A change and its frame as text.

    `draft_text` is for clients that ask for drafts: each revision follows the one before it. `text` is for the others.
    They get no drafts (None), and its `prev_revision` is that of the last change that was served.
    """

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
        """Whether a prompt was deleted, which some clients can't handle."""
        return self.change.type == ChangeType.PROMPT_DELETED


#: Those that still wait to be sent: another reader of the same change gets the same texts.
_encoded: WeakValueDictionary[tuple[int | None, datetime | None, uuid.UUID, int], EncodedChange] = WeakValueDictionary()


def encode_change(change: Change, *, workspace: str, env: str) -> EncodedChange:
    """The change's texts. `workspace` and `env` are the workspace's id and the name of the environment."""
    key = (change.pk, change.created_at, change.environment_id, change.revision)
    encoded = _encoded.get(key)
    if encoded is None:
        encoded = _encoded[key] = _make(change, workspace, env)
    return encoded


def _make(change: Change, workspace: str, env: str) -> EncodedChange:
    draft_text = _text(change, workspace, env, change.revision - 1)
    text = None
    if change.served:
        follows = change.prev_served == change.revision - 1
        text = draft_text if follows else _text(change, workspace, env, change.prev_served)
    return EncodedChange(change, text, draft_text)


def _text(change: Change, workspace: str, env: str, prev_revision: int) -> str:
    return frames.Change(
        type=change.type,
        id=str(change.resource_id),
        key=change.key,
        env=env,
        version=change.version,
        workspace=workspace,
        revision=change.revision,
        prev_revision=prev_revision,
        etag=change.etag,
        document=_sendable(change.document),
    ).encode()


def _sendable(document: str | None) -> JsonText | None:
    if not document or len(document) > MAX_DOCUMENT_BYTES or len(document.encode()) > MAX_DOCUMENT_BYTES:
        return None
    return document
