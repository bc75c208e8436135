"""Every frame of the event stream `/ws`: its type, and its fields in the order in which they are sent.

An event type is added by one declaration here: a member of ChangeType for a change that the change log holds, else a
subclass of Frame. docs/delivery.md says when each is sent; tests/contract/frames.json has one of each as it goes out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import ClassVar, TypeAlias

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


#: A value that is JSON text already. It goes into a frame as it is, and so its field is the frame's last.
JsonText: TypeAlias = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Base of all frames. A frame goes out as one JSON object: `type`, then the fields."""

    type: ClassVar[str]

    def encode(self) -> str:
        """The frame as JSON text."""
        return _encode({"type": self.type, **{field.name: getattr(self, field.name) for field in fields(self)}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Frame):
    """The first frame for a client that sent `since`.

    If `resumed`, every change after the client's `since` follows; else a Snapshot, taken at `revision`, does.
    """

    type = "hello"
    revision: int
    epoch: str
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Frame):
    """All documents that the environment served at `revision`."""

    type = "snapshot"
    revision: int
    documents: Sequence[JsonText]

    def encode(self) -> str:
        return f'{{"type":"{self.type}","revision":{self.revision},"documents":[{",".join(self.documents)}]}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Frame):
    """Sent in silence. `revision` is the highest of the environments that the socket follows."""

    type = "heartbeat"
    revision: int


class ChangeType(StrEnum):
    """What a change may be of. The value is the `type` of its frame and of its row in the change log."""

    PROMPT_CREATED = "prompt.created"
    PROMPT_UPDATED = "prompt.updated"
    PROMPT_PUBLISHED = "prompt.published"
    PROMPT_ROLLED_BACK = "prompt.rolled_back"
    PROMPT_DELETED = "prompt.deleted"
    ROLLOUT_UPDATED = "rollout.updated"
    ROLLOUT_DELETED = "rollout.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Frame):
    """A change of what an environment serves, or, for clients that ask for drafts, of a draft.

    `type` is a ChangeType, or the type of a newer server that wrote to the same database. `prev_revision` is the
    revision of the last change before it that the same client gets. `document` is what is served from now on. It is
    null with an `etag` when it is too large to be sent, and null without one when nothing is served any more.
    """

    type: str  # type: ignore[misc]  # all changes have the same fields, so that their type is one too
    id: str
    key: str
    env: str
    version: str
    workspace: str
    revision: int
    prev_revision: int
    etag: str | None
    document: JsonText | None

    def encode(self) -> str:
        head = _encode({field.name: getattr(self, field.name) for field in fields(self)[:-1]})
        return f'{head[:-1]},"document":{self.document or "null"}}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun(Frame):
    """A run of a workflow changed its status. Only for clients that ask for runs; belongs to no revision.

    `waits_for` is the path of the step that it waits at, else empty.
    """

    type = "workflow.run"
    run_id: str
    workflow_id: str
    key: str
    workspace: str
    status: str
    waits_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStep(Frame):
    """An attempt at a step changed its status. Sent as WorkflowRun is. `attempt` counts from 1."""

    type = "workflow.step"
    run_id: str
    workflow_id: str
    workspace: str
    path: str
    id: str
    name: str
    step_type: str
    attempt: int
    status: str


class CloseCode(IntEnum):
    """Why the server closes a socket."""

    TRY_AGAIN = 1012  # RFC 6455's registry: service restart
    CREDENTIAL_REVOKED = 4401
    NOT_ALLOWED_THERE = 4403
    RESYNC_NEEDED = 4409
    TOO_SLOW = 4410
