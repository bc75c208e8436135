"""Agents in the back office."""

from typing import Any

from django import forms
from django.contrib import admin

from agents import services
from agents.models import Agent
from agents.providers import registry
from agents.serializers import AgentSerializer
from governance.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.admin.forms import InEnvironmentForm, JsonField, LinesField, code
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["provider"]
        there = {name: provider.label for name, provider in registry.PROVIDERS.items()}
        if not self.is_new:
            there.setdefault(self.instance.provider, f"{self.instance.provider} (unknown)")
        choice.choices = list(there.items())


@admin.register(Agent)
class AgentAdmin(ServiceAdmin[Agent]):
    form = AgentForm
    list_display = ["key", "name", "env", "workspace", "provider", "model", "prompt_key", "updated_at"]
    list_filter = ["provider", EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["environment__workspace", "workspace"]
    list_defer = ["prompt", "config", "description"]
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
