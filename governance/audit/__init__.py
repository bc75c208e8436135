"""The audit log: who did what, written in the transaction of the operation. Every entry is made by `record`."""

import uuid
from collections.abc import Mapping
from typing import Any

from governance.access.actors import Actor
from governance.audit.models import AuditEntry
from governance.core.logs import request_id

Changes = Mapping[str, Mapping[str, Any]]


def record(
    *,
    actor: Actor,
    action: str,
    resource: str,
    resource_id: uuid.UUID | str,
    key: str = "",
    summary: str,
    workspace_id: str | None,
    changes: Changes | None = None,
) -> AuditEntry:
    """Write who did what, in the transaction of the operation: if this fails, nothing happened.

    `changes` is {field: {"old": ..., "new": ...}}; callers leave secrets out of it. Without a `workspace_id`
    the entry concerns the whole installation. Texts that are longer than their columns are cut, since PostgreSQL would
    refuse them, and the operation with them.
    """
    identity = request_id.get()
    return AuditEntry.objects.create(
        actor=actor.name,
        actor_kind=actor.kind,
        actor_id=str(actor.user_id or actor.token_id or ""),
        action=action,
        resource=resource,
        resource_id=str(resource_id)[:36],
        key=key[:200],
        summary=summary[:500],
        workspace_id=workspace_id,
        changes=changes or {},
        request_id="" if identity == "-" else identity,
    )


def created(**fields: Any) -> dict[str, dict[str, Any]]:
    """The `changes` of something new."""
    return {name: {"old": None, "new": value} for name, value in fields.items()}


def deleted(**fields: Any) -> dict[str, dict[str, Any]]:
    """The `changes` of something that is deleted."""
    return {name: {"old": value, "new": None} for name, value in fields.items()}
