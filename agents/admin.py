"""Agents in the back office."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString

from agents import provider_services, services, toolbox
from agents.models import Agent, AgentMessage, AgentSession, ModelProvider
from agents.providers import registry
from agents.serializers import AgentSerializer, ModelProviderSerializer
from governance.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin, block
from governance.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.admin.forms import InEnvironmentForm, JsonField, LinesField, ServiceForm, code
from governance.models.base import CONFIG_HELP


class AgentForm(InEnvironmentForm[Agent]):
    serializer_class = AgentSerializer
    description = LinesField(required=False, max_length=2000)
    prompt = LinesField(
        required=False, widget=code(14), help_text="The prompt itself; or else name one of the registry."
    )
    prompt_key = forms.CharField(
        required=False, max_length=200, help_text="A prompt of the environment, resolved at each run."
    )
    provider = forms.ChoiceField(initial=Agent._meta.get_field("provider").default)
    config = JsonField(required=False, empty={}, help_text=CONFIG_HELP)
    output_schema = JsonField(required=False, empty={}, help_text=Agent._meta.get_field("output_schema").help_text)
    tools = JsonField(
        required=False,
        empty=[],
        help_text='A list, such as [{"type": "agent", "key": "helper"}]. The values of headers are stored encrypted, '
        "and come back as hints: left as they are, they stay.",
    )

    def starting_values(self) -> dict[str, Any]:
        return {"tools": toolbox.shown(self.instance.tools)}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["provider"]
        there = {name: provider.label for name, provider in registry.providers().items()}
        if not self.is_new:
            there.setdefault(self.instance.provider, f"{self.instance.provider} (unknown)")
        choice.choices = list(there.items())


@admin.register(Agent)
class AgentAdmin(ServiceAdmin[Agent]):
    form = AgentForm
    list_display = ["key", "name", "env", "workspace", "provider", "model", "prompt_key", "updated_at"]
    list_filter = ["provider", EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["environment__workspace", "workspace"]
    list_defer = ["prompt", "config", "description", "output_schema", "tools"]
    search_fields = ["key", "name", "prompt_key", "model"]
    ordering = ["-updated_at", "-id"]
    add_fields = [
        "environment",
        "key",
        "name",
        "description",
        "prompt",
        "prompt_key",
        "provider",
        "model",
        "config",
        "output",
        "output_schema",
        "tools",
        "max_turns",
        "max_tokens",
        "max_cost_usd",
    ]
    change_fields = add_fields
    readonly_fields = ["created_at", "updated_at"]

    @admin.display(description="environment", ordering="environment__name")
    def env(self, agent: Agent) -> str:
        return agent.environment.name

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Agent:
        return services.create_agent(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Agent, values: dict[str, Any], if_match: str | None) -> Agent:
        return services.update_agent(actor=actor, agent=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Agent) -> None:
        services.delete_agent(actor=actor, agent=row)


@admin.register(AgentSession)
class AgentSessionAdmin(ReadOnlyAdmin[AgentSession]):
    """Conversations with agents: whose, and how long."""

    list_display = ["session_id", "agent", "actor", "turns", "used_at", "created_at"]
    list_filter = ["agent"]
    list_select_related = ["agent"]
    search_fields = ["session_id", "actor", "agent__key"]
    date_hierarchy = "used_at"
    shown = ["session_id", "agent", "actor", "turns", "created_at", "used_at"]


@admin.register(AgentMessage)
class AgentMessageAdmin(ReadOnlyAdmin[AgentMessage]):
    """What was said in conversations, as far as it is remembered."""

    list_display = ["created_at", "session", "role"]
    list_select_related = ["session"]
    list_defer = ["content"]
    search_fields = ["session__session_id", "session__agent__key"]
    shown = ["session", "role", "text", "run_id", "created_at"]

    @admin.display(description="content")
    def text(self, message: AgentMessage) -> SafeString:
        return block(message.content)


class ModelProviderForm(ServiceForm[ModelProvider]):
    """The key goes in and is never shown: an empty field keeps it, the box takes it away."""

    serializer_class = ModelProviderSerializer
    related = ("forget_key",)
    dropped_when_empty = ("api_key",)
    api_key = forms.CharField(
        required=False,
        max_length=500,
        label="Key",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown again. Left empty, the stored one stays.",
    )
    forget_key = forms.BooleanField(required=False, label="Forget the stored key")


@admin.register(ModelProvider)
class ModelProviderAdmin(ServiceAdmin[ModelProvider]):
    """Providers with a key or an address of their own, and those that are ours by name only."""

    scoped = False
    form = ModelProviderForm
    list_display = ["name", "label", "base_url", "default_model", "key_hint", "updated_at"]
    search_fields = ["name", "label", "base_url"]
    ordering = ["name"]
    add_fields = ["name", "label", "base_url", "default_model", "api_key"]
    change_fields = [*add_fields, "forget_key"]
    readonly_fields = ["key_hint", "created_at", "updated_at"]

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> ModelProvider:
        values.pop("forget_key", None)
        return provider_services.create_provider(actor=actor, **values)

    def perform_update(
        self, actor: Actor, row: ModelProvider, values: dict[str, Any], if_match: str | None
    ) -> ModelProvider:
        if values.pop("forget_key", False):
            values["api_key"] = ""
        return provider_services.update_provider(actor=actor, provider=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: ModelProvider) -> None:
        provider_services.delete_provider(actor=actor, provider=row)
