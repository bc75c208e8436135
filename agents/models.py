import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from governance.core.models import CONFIG_HELP, Entity, Versioned
from governance.tenancy.models import Environment, Workspace

#: The provider of what names none.
DEFAULT_PROVIDER = "mock"


class Output(models.TextChoices):
    TEXT = "text", "Text"
    JSON = "json", "JSON"


class Agent(Entity):
    """A prompt, inline or from the registry, with the provider, model and parameters to run it with.

    `tools` are descriptions as agents.runtime.toolbox stores them, with secrets encrypted. `max_turns`, `max_tokens`
    and `max_cost_usd` are limits of one run; null is none.
    """

    environment_path: ClassVar[str | None] = "environment__name"

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="agents")
    environment = models.ForeignKey(
        Environment, models.PROTECT, related_name="agents", help_text="Where a registry prompt is looked up."
    )
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    prompt = models.TextField(blank=True)
    prompt_key = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=50, default=DEFAULT_PROVIDER)
    model = models.CharField(max_length=200, blank=True)
    config = models.JSONField(default=dict, blank=True, help_text=CONFIG_HELP)
    output = models.CharField(max_length=10, choices=Output.choices, default=Output.TEXT)
    output_schema = models.JSONField(
        default=dict, blank=True, help_text="The JSON Schema that an output in JSON has to be valid by."
    )
    tools = models.JSONField(default=list, blank=True, help_text="What the model may call.")
    max_turns = models.PositiveIntegerField(default=8, help_text="Calls of the model in one run.")
    max_tokens = models.PositiveIntegerField(
        null=True, blank=True, default=200_000, help_text="Tokens of one run, those of its tools included."
    )
    max_cost_usd = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="US dollars for one run, by known prices.",
    )
    confined = models.BooleanField(
        default=False,
        editable=False,
        help_text="Saved last by a token of its environment alone: what it calls sees no other environment.",
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "key"], name="agent_key_unique"),
            models.CheckConstraint(condition=Q(output__in=Output.values), name="agent_output_known"),
            models.CheckConstraint(condition=Q(max_turns__gte=1), name="agent_has_a_turn"),
            models.CheckConstraint(
                condition=(~Q(prompt="") & Q(prompt_key="")) | (Q(prompt="") & ~Q(prompt_key="")),
                name="agent_has_one_prompt",
            ),
        ]

    def __str__(self) -> str:
        return self.key


class AgentSession(models.Model):
    """A conversation with an agent: its messages are sent to the model again at each turn.

    It belongs to the user or token that began it (`owner`, an identity), under a name of their choice. `turn` is the
    turn that is under way; it counts as dead after `turn_until`.
    """

    workspace_path: ClassVar[str] = "agent__workspace_id"
    environment_path: ClassVar[str | None] = "agent__environment__name"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="sessions")
    session_id = models.CharField(max_length=200)
    owner = models.CharField(max_length=250)
    actor = models.CharField(max_length=200)
    turns = models.PositiveIntegerField(default=0)
    turn = models.UUIDField(null=True, editable=False)
    turn_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-used_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "owner", "session_id"], name="session_unique"),
            models.CheckConstraint(
                condition=Q(turn__isnull=True, turn_until__isnull=True)
                | Q(turn__isnull=False, turn_until__isnull=False),
                name="session_turn_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.session_id


class AgentMessage(models.Model):
    """A message of a conversation: the user's (a rendered prompt) or the agent's (its answer)."""

    workspace_path: ClassVar[str] = "session__agent__workspace_id"
    environment_path: ClassVar[str | None] = "session__agent__environment__name"

    session = models.ForeignKey(AgentSession, models.CASCADE, related_name="messages")
    role = models.CharField(max_length=10, choices=[("user", "User"), ("assistant", "Assistant")])
    content = models.TextField(blank=True)
    run_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class ModelProvider(Versioned):
    """A provider as an admin set it up: settings for a built-in one of that name, or one more with OpenAI's API.

    It belongs to the installation and to no workspace. The key is stored encrypted and never shown again.
    """

    name = models.SlugField(max_length=50, unique=True)
    label = models.CharField(max_length=200, blank=True)
    base_url = models.CharField(
        max_length=500, blank=True, help_text="Where it speaks the OpenAI API, such as https://host/v1."
    )
    default_model = models.CharField(max_length=200, blank=True)
    unsupported = models.JSONField(
        default=list,
        blank=True,
        help_text="What it does not know of what calls carry, such as stream_options: it is not sent.",
    )
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
