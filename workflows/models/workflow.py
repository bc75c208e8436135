"""A workflow has a draft that is edited, versions that are not, and a pointer to the live one, as a prompt has."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models

from governance.changes.publishing import status_of
from governance.core.models import Entity
from governance.tenancy.models import Workspace
from prompts.content.digest import canonical

#: The fields that make up a definition.
DEFINITION_FIELDS = ("inputs", "steps", "outputs")


def digest_of(definition: Mapping[str, Any]) -> str:
    """What makes two states of a workflow the same: their definitions, the order of names in objects aside."""
    text = json.dumps([canonical(definition[name]) for name in DEFINITION_FIELDS], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Workflow(Entity):
    """The draft, and what it became. What is stored was checked as a whole: what can't run can't be saved.

    `version` labels the draft: the label it was published under, or is meant for.
    """

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="workflows")
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    inputs = models.JSONField(default=dict, blank=True)
    steps = models.JSONField(default=list)
    outputs = models.JSONField(default=dict, blank=True)
    version = models.CharField(max_length=64, default="v1")
    draft_digest = models.CharField(max_length=64, editable=False)
    version_count = models.PositiveIntegerField(default=0, editable=False)
    live = models.ForeignKey(
        "WorkflowVersion", models.RESTRICT, null=True, blank=True, related_name="+", editable=False
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="workflow_key_unique")]

    def __str__(self) -> str:
        return self.key

    @property
    def definition(self) -> dict[str, Any]:
        """The draft's definition, as it is stored."""
        return {name: getattr(self, name) for name in DEFINITION_FIELDS}

    @property
    def status(self) -> str:
        return status_of(self.live.digest if self.live else None, self.draft_digest)

    @property
    def served(self) -> tuple[str, dict[str, Any]]:
        """What a run takes unless it asks for another: the live version; the draft of what was never published."""
        return (self.version, self.definition) if self.live is None else (self.live.label, self.live.definition)

    def digest_draft(self) -> None:
        self.draft_digest = digest_of(self.definition)


class WorkflowVersion(models.Model):
    """What was published, as it was. Never changed and never removed but with its workflow."""

    workspace_path: ClassVar[str] = "workflow__workspace_id"
    environment_path: ClassVar[str | None] = None

    id = models.UUIDField(primary_key=True, default=Entity._meta.get_field("id").default, editable=False)
    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(help_text="1 for the first that was published, and so on.")
    label = models.CharField("version", max_length=64)
    inputs = models.JSONField(default=dict)
    steps = models.JSONField(default=list)
    outputs = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, editable=False)
    note = models.CharField(max_length=1000, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "label"], name="workflow_version_label_unique"),
            models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_number_unique"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def definition(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in DEFINITION_FIELDS}
