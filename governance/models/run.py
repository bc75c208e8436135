import uuid
from typing import ClassVar

from django.db import models


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    OK = "ok", "OK"
    ERROR = "error", "Error"
    INTERRUPTED = "interrupted", "Interrupted"


class Run(models.Model):
    """One use of a model, an agent or a workflow: opened before the call, closed whatever happens.

    It has no foreign keys, so that it outlives the prompt, the agent and the user it speaks of. Token counts and costs
    are null where nobody knows them.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = None

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.CharField(max_length=36)
    source = models.CharField(max_length=20)
    ref_id = models.UUIDField(null=True)
    ref_key = models.CharField(max_length=200, blank=True)
    environment = models.CharField("env", max_length=50, blank=True)
    version = models.CharField(max_length=64, blank=True)
    variant = models.CharField(max_length=1, blank=True)
    provider = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=200, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.RUNNING)
    error = models.CharField(max_length=1000, blank=True)
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["workspace_id", "-created_at", "-id"], name="run_workspace_newest"),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="run_status_known")]

    def __str__(self) -> str:
        return f"{self.source} {self.ref_key} {self.status}"
