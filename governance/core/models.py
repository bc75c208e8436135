"""What models have in common: rows with an entity tag, and the server processes that live."""

import json
import uuid
from typing import Any, ClassVar

from django.db import models

CONFIG_HELP = "A JSON object of model parameters, such as temperature and max_tokens."


class Versioned(models.Model):
    """Something with an id, a history in the audit log and a version for optimistic locking."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    row_version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    @property
    def etag(self) -> str:
        """The entity tag of this state of the row (RFC 9110, 8.8.3): strong, and new with every save."""
        return f'"{self.row_version}"'

    def save_fields(self, *names: str) -> None:
        """Save just these fields, and with them what every change of a row moves."""
        self.row_version += 1
        self.save(update_fields=[*names, "row_version", "updated_at"])


class Entity(Versioned):
    """The same in a workspace.

    `workspace_path` and `environment_path` tell the one access filter (governance.access.visibility) how to get from a
    row to its workspace and to the name of its environment.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = None

    class Meta:
        abstract = True


def changed(instance: models.Model, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Set `values` on `instance`; returns what that changed, as the audit log keeps it: {field: {old, new}}."""
    changes: dict[str, dict[str, Any]] = {}
    for name, new in values.items():
        old = getattr(instance, name)
        if not _same(old, new):
            changes[name] = {"old": old, "new": new}
            setattr(instance, name, new)
    return changes


def _same(old: Any, new: Any) -> bool:
    """Equal, and as JSON too: `{"stop": 1} == {"stop": True}` holds in Python."""
    return bool(old == new) and (
        not isinstance(new, dict | list) or json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    )


class ServerProcess(models.Model):
    """A server process that is alive as long as it says so; its connections are forgotten with it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "server processes"

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
