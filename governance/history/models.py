from typing import ClassVar

from django.db import models


class LogCount(models.Model):
    """How many entries a log has of an hour that is over: entries are only ever added, at the end."""

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = None

    log = models.CharField(max_length=20)
    workspace_id = models.CharField(max_length=36, blank=True, help_text="Empty for what concerns all of them.")
    hour = models.DateTimeField()
    count = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["-hour", "-id"]
        constraints = [models.UniqueConstraint(fields=["log", "hour", "workspace_id"], name="log_count_unique")]
