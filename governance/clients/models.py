"""The event streams that are open."""

import uuid
from typing import ClassVar

from django.db import models

from governance.core.models import ServerProcess
from governance.tenancy.models import Workspace


class Connection(models.Model):
    """An open event stream: an SDK, a browser or a script that follows changes."""

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "namespace"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    process = models.ForeignKey(ServerProcess, models.CASCADE, related_name="connections")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    client_type = models.CharField(max_length=50)
    app = models.CharField(max_length=200, blank=True)
    namespace = models.CharField(
        max_length=50, blank=True, help_text="The environment; empty for all of the workspace's."
    )
    remote_addr = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    actor = models.CharField(max_length=200)
    connected_at = models.DateTimeField()

    class Meta:
        ordering = ["-connected_at", "-id"]

    def __str__(self) -> str:
        return f"{self.client_type} {self.app}".strip()
