"""A prompt has a draft that is edited, versions that never change, a pointer to the live one, perhaps a rollout."""

import secrets
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from governance.changes.drafts import Draft, Version
from governance.core.models import CONFIG_HELP, Entity
from governance.core.text import composed
from governance.tenancy.models import Environment
from prompts.content import stored

#: The columns that a draft and a version have in common: the content, and what applications are served with it.
SERVED_COLUMNS = (*stored.COLUMNS, "model", "config")


def long_columns(*paths: str) -> list[str]:
    """The columns that may be long, which lists leave in the database: the row's own, or of the relations `paths`.

    The path "" is the row itself.
    """
    return [f"{path}__{name}" if path else name for path in paths or ("",) for name in (*stored.COLUMNS, "config")]


def new_seed() -> str:
    return secrets.token_hex(8)


class Prompt(Draft):
    """A prompt: its draft, its versions, which one is live, and perhaps a rollout of two of them."""

    workspace_path: ClassVar[str] = "environment__workspace_id"
    environment_path: ClassVar[str | None] = "environment__name"

    environment = models.ForeignKey(Environment, models.PROTECT, related_name="prompts")
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True, db_index=True)
    category_form = models.CharField(max_length=300, blank=True, db_index=True, editable=False)
    content = models.TextField(blank=True)
    model = models.CharField(max_length=200, blank=True)
    config = models.JSONField(default=dict, blank=True, help_text=CONFIG_HELP)
    live = models.ForeignKey("PromptVersion", models.RESTRICT, null=True, blank=True, related_name="+", editable=False)
    state = models.CharField(max_length=9, default="draft", editable=False, help_text="`status`, to be found by.")
    changed_by = models.CharField(max_length=200, blank=True, editable=False, help_text="Who saved or published last.")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["environment", "key"], name="prompt_key_unique")]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="prompt_newest"),
            models.Index(fields=["environment", "-created_at", "-id"], name="prompt_environment_newest"),
            models.Index(fields=["-updated_at", "-id"], name="prompt_last_changed"),
            models.Index(fields=["state", "-updated_at", "-id"], name="prompt_state_last_changed"),
            models.Index(fields=["key"], name="prompt_by_key"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def workspace_id(self) -> str:
        return self.environment.workspace_id

    @property
    def tag_names(self) -> list[str]:
        return [tag.name for tag in self.tags.all()]

    def derive(self) -> tuple[str, ...]:
        """Set the columns that follow from others, before the draft or what is live is saved; returns their names."""
        self.draft_digest = stored.of_row(self).digest(model=self.model, config=self.config)
        self.state = self.status
        self.category_form = composed(self.category)
        return "draft_digest", "state", "category_form"


class PromptTag(models.Model):
    """A tag of a prompt: a row of its own, so that an exact match can use an index on every database."""

    workspace_path: ClassVar[str] = "prompt__environment__workspace_id"
    environment_path: ClassVar[str | None] = "prompt__environment__name"

    id = models.BigAutoField(primary_key=True)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=100, db_index=True)
    form = models.CharField(max_length=300, db_index=True, editable=False, help_text="The name, to be found by.")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["prompt", "name"], name="prompt_tag_unique")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, prompt: Prompt, name: str) -> "PromptTag":
        return cls(prompt=prompt, name=name, form=composed(name))


class PromptText(models.Model):
    """The texts of a prompt that a search reads, case-folded; `prompts.searching` writes and reads them."""

    id = models.BigAutoField(primary_key=True)
    prompt = models.OneToOneField(Prompt, models.CASCADE, related_name="+")
    text = models.TextField()
    tags = models.TextField(blank=True)


class PromptVersion(Version):
    """A prompt's draft as it was when it was published or kept. It is deleted only with its prompt."""

    workspace_path: ClassVar[str] = "prompt__environment__workspace_id"
    environment_path: ClassVar[str | None] = "prompt__environment__name"

    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="versions")
    content = models.TextField(blank=True)
    model = models.CharField(max_length=200, blank=True)
    config = models.JSONField(default=dict)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "label"], name="version_label_unique"),
            models.UniqueConstraint(fields=["prompt", "number"], name="version_number_unique"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="version_newest")]


class Rollout(Entity):
    """Two published versions of one prompt, and the share of units that gets the first."""

    workspace_path: ClassVar[str] = "prompt__environment__workspace_id"
    environment_path: ClassVar[str | None] = "prompt__environment__name"

    prompt = models.OneToOneField(Prompt, models.CASCADE, related_name="rollout")
    enabled = models.BooleanField(default=True)
    variant_a = models.ForeignKey(PromptVersion, models.RESTRICT, related_name="+")
    variant_b = models.ForeignKey(PromptVersion, models.RESTRICT, related_name="+")
    weight_a = models.DecimalField(
        max_digits=6, decimal_places=3, help_text="The percentage (0 to 100) of units that get variant A."
    )
    seed = models.CharField(max_length=32, default=new_seed, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(weight_a__gte=0, weight_a__lte=100), name="rollout_weight_is_a_percentage"
            ),
            models.CheckConstraint(condition=~Q(variant_a=F("variant_b")), name="rollout_variants_differ"),
        ]

    def __str__(self) -> str:
        return f"{self.weight_a} % {self.variant_a}, else {self.variant_b}"
