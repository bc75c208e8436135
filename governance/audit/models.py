import uuid
from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class AuditEntry(models.Model):
    """Who did what to what, and what it was before. Written in the transaction of the operation.

    The database itself refuses to change or delete an entry (governance.core.append_only).

    `actor` is the actor's name at that time. `actor_kind` and `actor_id` identify the user or token, since names can be
    used again. Both are empty in entries from before they were recorded.

    It refers to things by id and has no foreign keys, so that it remains when they are deleted. An entry without a
    workspace concerns the whole installation; only actors who see all workspaces see it.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = None

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=40)
    resource = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=36)
    key = models.CharField(max_length=200, blank=True)
    summary = models.CharField(max_length=500)
    actor = models.CharField(max_length=200)
    actor_kind = models.CharField(max_length=10, blank=True, help_text="How they came in, such as session or api.")
    actor_id = models.CharField(max_length=36, blank=True, help_text="The id of the user or of the API token.")
    workspace_id = models.CharField(max_length=36, null=True, blank=True)  # noqa: DJ001  # null: no workspace at all
    changes = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    request_id = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="audit_newest"),
            models.Index(fields=["workspace_id", "-created_at", "-id"], name="audit_workspace_newest"),
            models.Index(fields=["resource_id", "-created_at"], name="audit_resource_newest"),
            models.Index(
                fields=["actor_id", "-created_at", "-id"],
                name="audit_actor_id_newest_first",
                condition=~models.Q(actor_id=""),
            ),
            # What one looks for may be rare, and the log is long.
            *(
                models.Index(fields=[name, "-created_at", "-id"], name=f"audit_{name}_newest_first")
                for name in ("actor", "action", "resource", "key")
            ),
        ]

    def __str__(self) -> str:
        return self.summary
