"""A workflow has a draft that is edited, versions that are not, and a pointer to the live one, as a prompt has."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models

from governance.changes.drafts import Draft, Version
from governance.tenancy.models import Workspace
from prompts.content import digest

#: The fields that make up a definition.
DEFINITION_FIELDS = ("inputs", "steps", "outputs")


def digest_of(definition: Mapping[str, Any]) -> str:
    """What makes two states of a workflow the same: their definitions, the order of names in objects aside."""
    return digest.digest_of(*(digest.canonical(definition[name]) for name in DEFINITION_FIELDS))


class Workflow(Draft):
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
    def served(self) -> tuple[str, dict[str, Any]]:
        """What a run takes unless it asks for another: the live version; the draft of what was never published."""
        return (self.version, self.definition) if self.live is None else (self.live.label, self.live.definition)

    def digest_draft(self) -> None:
        self.draft_digest = digest_of(self.definition)


class WorkflowVersion(Version):
    """What was published, as it was. Never changed and never removed but with its workflow."""

    workspace_path: ClassVar[str] = "workflow__workspace_id"
    environment_path: ClassVar[str | None] = None

    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="versions")
    # Declared again for its help text: another one would be a migration.
    number = models.PositiveIntegerField(help_text="1 for the first that was published, and so on.")
    inputs = models.JSONField(default=dict)
    steps = models.JSONField(default=list)
    outputs = models.JSONField(default=dict)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "label"], name="workflow_version_label_unique"),
            models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_number_unique"),
        ]

    @property
    def definition(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in DEFINITION_FIELDS}
