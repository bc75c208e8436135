"""Agents in the back office: their form, and a panel to try one out."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from agents import services
from agents.admin import form_schema, trial
from agents.models import Agent
from agents.providers import registry
from agents.runtime import toolbox
from agents.serializers import AgentSerializer
from governance.access.actors import Actor
from governance.access.permissions import may
from governance.admin.base import ServiceAdmin, actor_of, as_json
from governance.admin.forms import JsonField, LinesField, code
from governance.core.models import CONFIG_HELP
from governance.tenancy.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.tenancy.admin.forms import InEnvironmentForm


class AgentForm(InEnvironmentForm[Agent]):
    """Values that are JSON are texts here; agent.js turns them into fields where scripts run."""

    serializer_class = AgentSerializer
    description = LinesField(required=False, max_length=2000, widget=AdminTextareaWidget(attrs={"rows": 2}))
    prompt = LinesField(
        required=False,
        widget=code(8, language="template"),
        help_text="The prompt itself; or else name one of the registry. A variable is written {{ name }}.",
    )
    prompt_key = forms.CharField(
        required=False,
        max_length=200,
        widget=AdminTextInputWidget,
        help_text="A prompt of the environment, resolved at each run.",
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
        return {"tools": toolbox.to_show(self.instance.tools)}

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
    fieldsets_ = {
        None: ["environment", "key", "name", "description"],
        "Prompt": ["prompt", "prompt_key"],
        "Model": ["provider", "model", "config"],
        "Answer": ["output", "output_schema"],
        "Tools": ["tools"],
        "Limits of one run": ["max_turns", "max_tokens", "max_cost_usd"],
    }
    add_fields = [name for names in fieldsets_.values() for name in names]
    change_fields = add_fields
    readonly_fields = ["created_at", "updated_at"]
    change_form_template = "agents/admin/agent.html"

    class Media:
        css = {"all": ["governance/form.css", "agents/playground.css", "agents/agent.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("check/", view(trial.check), name="agents_agent_check"),
            path("<uuid:agent_id>/try/", view(trial.run), name="agents_agent_try"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[Any]:
        """People who may not change the agent are shown its tools without secrets."""
        fields = super().get_fields(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fields
        return ["tools_without_secrets" if name == "tools" else name for name in fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[Any]:
        return [*super().get_readonly_fields(request, obj), "tools_without_secrets"]

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> list[Any]:
        left = self.get_fields(request, obj)
        sets: list[Any] = []
        for title, names in self.fieldsets_.items():
            shown = [name for name in left if name in names or (title == "Tools" and name == "tools_without_secrets")]
            left = [name for name in left if name not in shown]
            sets.append((title, {"fields": shown}))
        return [*sets, (None, {"fields": left})] if left else sets

    @admin.display(description="tools")
    def tools_without_secrets(self, agent: Agent) -> SafeString:
        return as_json(toolbox.to_show(agent.tools))

    def page_context(self, request: HttpRequest, row: Agent | None) -> dict[str, Any]:
        actor, context = actor_of(request), dict[str, Any]()
        if row is None or self.has_change_permission(request, row):
            check = reverse("admin:agents_agent_check")
            context["fitting"] = {**form_schema.for_form(actor, row.workspace_id if row else None), "check": check}
        if row is not None and may(actor, "agent.run"):
            context["trial"] = {
                "url": reverse("admin:agents_agent_try", args=[row.pk]),
                "runs": reverse("admin:governance_run_changelist"),
                "names": form_schema.variables(row),
            }
        return context

    @admin.display(description="environment", ordering="environment__name")
    def env(self, agent: Agent) -> str:
        return agent.environment.name

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Agent:
        return services.create_agent(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Agent, values: dict[str, Any], if_match: str | None) -> Agent:
        return services.update_agent(actor=actor, agent=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Agent) -> None:
        services.delete_agent(actor=actor, agent=row)
