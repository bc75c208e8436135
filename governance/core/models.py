"""Base classes of models, and the server processes that are running."""

import json
import uuid
from typing import Any, ClassVar

from django.db import models

CONFIG_HELP = "A JSON object of model parameters, such as temperature and max_tokens."


class Versioned(models.Model):
    """A row with an id, timestamps, and a version number for optimistic locking."""

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
        """Save just these fields, with the row's next version and the time."""
        self.row_version += 1
        self.save(update_fields=[*names, "row_version", "updated_at"])


class Entity(Versioned):
    """A Versioned row that belongs to a workspace.

    `workspace_path` and `environment_path` are the lookups from a row to its workspace's id and to the name of its
    environment, for the access filter (governance.access.visibility).
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = None

    class Meta:
        abstract = True


def changed(instance: models.Model, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Set `values` on `instance`, and return what that changed in the form of the audit log: {field: {old, new}}."""
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
    """A running server process. It updates `seen_at` every few seconds; a row that is not updated is deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "server processes"

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
