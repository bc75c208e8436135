from django.db import models

from governance.models import Entity, Workspace


class Workflow(Entity):
    """A list of steps. What is stored was checked as a whole: a workflow that can't run can't be saved."""

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="workflows")
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    steps = models.JSONField(default=list)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="workflow_key_unique")]

    def __str__(self) -> str:
        return self.key
