from typing import ClassVar

from django.db import models
from django.db.models import Q

from governance.models import Entity, Environment, Versioned, Workspace
from governance.models.base import CONFIG_HELP


class Agent(Entity):
    """A prompt, inline or from the registry, with the provider, model and parameters to run it with."""

    environment_path: ClassVar[str | None] = "environment__"

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="agents")
    environment = models.ForeignKey(
        Environment, models.PROTECT, related_name="agents", help_text="Where a registry prompt is looked up."
    )
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    prompt = models.TextField(blank=True)
    prompt_key = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=50, default="mock")
    model = models.CharField(max_length=200, blank=True)
    config = models.JSONField(default=dict, blank=True, help_text=CONFIG_HELP)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "key"], name="agent_key_unique"),
            models.CheckConstraint(
                condition=(~Q(prompt="") & Q(prompt_key="")) | (Q(prompt="") & ~Q(prompt_key="")),
                name="agent_has_one_prompt",
            ),
        ]

    def __str__(self) -> str:
        return self.key


class ModelProvider(Versioned):
    """A provider as an admin set it up: one of our own names with a key and an address, or one more of its own name.

    It belongs to the installation and to no workspace. The key is encrypted, and nothing ever shows it again.
    """

    name = models.SlugField(max_length=50, unique=True)
    label = models.CharField(max_length=200, blank=True)
    base_url = models.CharField(
        max_length=500, blank=True, help_text="Where it speaks the OpenAI API, such as https://host/v1."
    )
    default_model = models.CharField(max_length=200, blank=True)
    encrypted_key = models.TextField(blank=True, editable=False)
    key_hint = models.CharField(max_length=20, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(encrypted_key="", key_hint="") | (~Q(encrypted_key="") & ~Q(key_hint="")),
                name="provider_key_has_hint",
            )
        ]

    def __str__(self) -> str:
        return self.label or self.name
