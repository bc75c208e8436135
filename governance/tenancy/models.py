"""Workspaces, their environments, and who sees which workspace."""

import secrets
import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

DEFAULT_WORKSPACE = "default"


def new_workspace_id() -> str:
    return str(uuid.uuid4())


def new_epoch() -> str:
    return secrets.token_hex(6)


class Workspace(models.Model):
    """A team's own part of the installation. What is in one workspace is invisible from another."""

    workspace_path: ClassVar[str] = "pk"
    environment_path: ClassVar[str | None] = None

    id = models.CharField(primary_key=True, max_length=36, default=new_workspace_id, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100)
    keep_content = models.BooleanField(
        default=False, help_text="Keep the texts of runs, prompt and output, for so many days."
    )
    content_days = models.PositiveSmallIntegerField(default=30)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(Lower("slug"), name="workspace_slug_unique"),
            models.CheckConstraint(
                condition=models.Q(content_days__gte=1) & models.Q(content_days__lte=365),
                name="workspace_content_days_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Environment(models.Model):
    """A stage of a workspace (dev, test, prod), and the counter of all that changes in it.

    `revision` rises by one with each change, in the change's own transaction: whoever changes something holds this
    row's lock until it commits, so revisions become visible in order and without a gap. `served_revision` is the last
    one that changed what applications are served. `epoch` identifies this line of revisions: a restored database begins
    a new one.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "name"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="environments")
    name = models.SlugField(max_length=50)
    description = models.CharField(max_length=500, blank=True)
    require_publish = models.BooleanField(
        default=False,
        help_text="Serve published versions only, never the draft of a prompt that was not published yet.",
    )
    revision = models.PositiveBigIntegerField(default=0, editable=False)
    served_revision = models.PositiveBigIntegerField(default=0, editable=False)
    epoch = models.CharField(max_length=32, default=new_epoch, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="environment_name_unique"),
            models.CheckConstraint(
                condition=models.Q(served_revision__lte=models.F("revision")), name="environment_served_not_ahead"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id}/{self.name}"


class Membership(models.Model):
    """A user's membership in a workspace, which they see by it."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey("governance.User", models.CASCADE, related_name="memberships")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "workspace"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.workspace_id}"
