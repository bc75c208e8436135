"""Prompts in the back office: drafts are edited, published, rolled back and rolled out here, through the services."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin, actor_of, as_json, block
from governance.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.admin.forms import InEnvironmentForm, JsonField, LinesField, OperationForm, code
from governance.models.base import CONFIG_HELP
from prompts import services
from prompts.models import Prompt, PromptTag, PromptVersion, Rollout
from prompts.serializers import PromptSerializer, PublishSerializer, RollbackSerializer, RolloutSerializer

VERSIONS_ON_THE_PAGE = 20


class PromptForm(InEnvironmentForm[Prompt]):
    serializer_class = PromptSerializer
    content = LinesField(required=False, widget=code(14), help_text="A variable is written {{ name }}.")
    config = JsonField(required=False, empty={}, help_text=CONFIG_HELP)
    tags = forms.CharField(
        required=False, widget=admin.widgets.AdminTextInputWidget, help_text="With commas between them."
    )

    def starting_values(self) -> dict[str, Any]:
        return {"tags": ", ".join(self.instance.tag_names)}


class PublishForm(OperationForm):
    serializer_class = PublishSerializer
    dropped_when_empty = ("version",)
    note = forms.CharField(
        required=False, max_length=1000, widget=admin.widgets.AdminTextInputWidget, help_text="What is new in it."
    )
    version = forms.CharField(
        required=False,
        max_length=64,
        help_text="The new version's label. Empty for the draft's own, or if that is taken, the next free one.",
    )


class VersionsForm(OperationForm):
    """A form with choices among the prompt's versions, newest first."""

    version_fields: tuple[str, ...] = ()

    def __init__(self, data: Any, *, row: Prompt, initial: dict[str, Any]) -> None:
        super().__init__(data, row=row, initial=initial)
        labels = list(row.versions.values_list("label", flat=True))
        for name in self.version_fields:
            choice: Any = self.fields[name]
            choice.choices = [("", "---------"), *((label, label) for label in labels)]


class RollbackForm(VersionsForm):
    serializer_class = RollbackSerializer
    version_fields = ("version",)
    version = forms.ChoiceField(help_text="It becomes live again, and the draft becomes equal to it.")


class RolloutForm(VersionsForm):
    serializer_class = RolloutSerializer
    version_fields = ("variant_a", "variant_b")
    enabled = forms.BooleanField(required=False)
    variant_a = forms.ChoiceField(label="Variant A")
    variant_b = forms.ChoiceField(label="Variant B")
    weight_a = forms.FloatField(
        label="Weight of A",
        min_value=0,
        max_value=100,
        help_text="The percentage (0 to 100) of units that get variant A.",
    )

    def starting_values(self) -> dict[str, Any]:
        rollout = self.rollout()
        if rollout is None:
            return {"enabled": True}
        return {
            "enabled": rollout.enabled,
            "variant_a": rollout.variant_a.label,
            "variant_b": rollout.variant_b.label,
            "weight_a": float(rollout.weight_a),
        }

    def tag(self) -> str:
        return services.rollout_tag(self.rollout())

    def rollout(self) -> Rollout | None:
        return getattr(self.row, "rollout", None)


class EndRolloutForm(OperationForm):
    serializer_class = RolloutSerializer


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("draft", "Draft: never published"),
            ("published", "Published: the draft is live"),
            ("modified", "Modified: the draft differs"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        if self.value() == "draft":
            return queryset.filter(live=None)
        if self.value() == "published":
            return queryset.filter(live__digest=F("draft_digest"))
        if self.value() == "modified":
            return queryset.exclude(live=None).exclude(live__digest=F("draft_digest"))
        return queryset


@admin.register(Prompt)
class PromptAdmin(ServiceAdmin[Prompt]):
    form = PromptForm
    list_display = ["key", "env", "workspace", "status", "live_version", "tags", "updated_at"]
    list_filter = [StatusFilter, EnvironmentFilter, WorkspaceFilter, "category"]
    list_select_related = ["environment__workspace", "live"]
    list_defer = ["content", "config", "live__content", "live__config"]
    search_fields = ["key", "name", "content", "tags__name"]
    ordering = ["-updated_at", "-id"]
    add_fields = ["environment", "key", "name", "category", "tags", "content", "model", "config", "version"]
    change_fields = add_fields
    readonly_fields = ["status", "live_version", "created_at", "updated_at"]
    change_form_template = "prompts/admin/prompt.html"
    actions = ["delete_selected", "publish_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prompt]:
        return super().get_queryset(request).prefetch_related("tags")

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("publish", self.publish_view),
            self.operation_url("rollback", self.rollback_view),
            self.operation_url("rollout", self.rollout_view),
            self.operation_url("end-rollout", self.end_rollout_view),
            *super().get_urls(),
        ]

    @admin.display(description="environment", ordering="environment__name")
    def env(self, prompt: Prompt) -> str:
        return prompt.environment.name

    @admin.display(ordering="environment__workspace__name")
    def workspace(self, prompt: Prompt) -> str:
        return prompt.environment.workspace.name

    @admin.display(ordering="live__label")
    def live_version(self, prompt: Prompt) -> str | None:
        return prompt.live.label if prompt.live else None

    @admin.display
    def tags(self, prompt: Prompt) -> str:
        return ", ".join(prompt.tag_names)

    def belongings(self, rows: Iterable[Prompt]) -> dict[str, int]:
        return {
            "versions": PromptVersion.objects.filter(prompt__in=list(rows)).count(),
            "rollouts": Rollout.objects.filter(prompt__in=list(rows)).count(),
        }

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Prompt | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context["versions"] = obj.versions.defer("content", "config")[:VERSIONS_ON_THE_PAGE]
            context["rollout"] = Rollout.objects.select_related("variant_a", "variant_b").filter(prompt=obj).first()
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- through the services -----------------------------------------------------------------------------------

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Prompt:
        return services.create_prompt(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Prompt, values: dict[str, Any], if_match: str | None) -> Prompt:
        return services.update_prompt(actor=actor, prompt=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Prompt) -> None:
        services.delete_prompt(actor=actor, prompt=row)

    @admin.action(permissions=["change"], description="Publish selected %(verbose_name_plural)s")
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda row: services.publish(actor=actor, prompt=row), "Published")

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: PublishForm) -> str:
            version = services.publish(actor=actor, prompt=prompt, if_match=form.seen, **form.values)
            return f"Published {prompt.key} {version.label}."

        return self.operate(
            request,
            object_id,
            title="Publish",
            form_class=PublishForm,
            perform=perform,
            button="Publish",
            note="Makes a version of the draft as it is now, and makes it live: applications are served it at once.",
        )

    def rollback_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: RollbackForm) -> str:
            done = services.rollback(actor=actor, prompt=prompt, if_match=form.seen, **form.values)
            return f"Rolled {done.key} back to {done.version}."

        return self.operate(
            request, object_id, title="Roll back", form_class=RollbackForm, perform=perform, button="Roll back"
        )

    def rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: RolloutForm) -> str:
            rollout = services.set_rollout(actor=actor, prompt=prompt, values=form.values, if_match=form.seen)
            return f"Rollout of {prompt.key}: {rollout}."

        return self.operate(
            request, object_id, title="Rollout", form_class=RolloutForm, perform=perform, button="Save rollout"
        )

    def end_rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: EndRolloutForm) -> str:
            services.delete_rollout(actor=actor, prompt=prompt)
            return f"Ended the rollout of {prompt.key}: everybody is served the live version."

        return self.operate(
            request,
            object_id,
            title="End rollout",
            form_class=EndRolloutForm,
            perform=perform,
            button="End rollout",
            note="The live version is served to everybody again.",
        )


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin[PromptVersion]):
    list_display = ["created_at", "prompt", "label", "env", "workspace", "live", "note", "created_by"]
    list_filter = [EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt__environment__workspace"]
    list_defer = ["content", "config", "prompt__content", "prompt__config"]
    search_fields = ["prompt__key", "label", "note", "created_by"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    shown = ["prompt", "label", "number", "text", "model", "parameters", "note", "created_by", "created_at", "live"]

    @admin.display(description="environment", ordering="prompt__environment__name")
    def env(self, version: PromptVersion) -> str:
        return version.prompt.environment.name

    @admin.display(ordering="prompt__environment__workspace__name")
    def workspace(self, version: PromptVersion) -> str:
        return version.prompt.environment.workspace.name

    @admin.display(boolean=True)
    def live(self, version: PromptVersion) -> bool:
        return version.prompt.live_id == version.pk

    @admin.display(description="content")
    def text(self, version: PromptVersion) -> SafeString:
        return block(version.content)

    @admin.display(description="config")
    def parameters(self, version: PromptVersion) -> SafeString:
        return as_json(version.config)


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin[Rollout]):
    """All rollouts there are. One is made, changed and ended from its prompt's page."""

    list_display = ["prompt", "env", "workspace", "enabled", "variant_a", "variant_b", "weight_a", "updated_at"]
    list_filter = ["enabled", EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt__environment__workspace", "variant_a", "variant_b"]
    list_defer = [f"{path}__{name}" for path in ("prompt", "variant_a", "variant_b") for name in ("content", "config")]
    search_fields = ["prompt__key"]
    ordering = ["-updated_at", "-id"]
    shown = ["prompt", "enabled", "variant_a", "variant_b", "weight_a", "seed", "created_at", "updated_at", "edit"]

    @admin.display(description="environment", ordering="prompt__environment__name")
    def env(self, rollout: Rollout) -> str:
        return rollout.prompt.environment.name

    @admin.display(ordering="prompt__environment__workspace__name")
    def workspace(self, rollout: Rollout) -> str:
        return rollout.prompt.environment.workspace.name

    @admin.display(description="")
    def edit(self, rollout: Rollout) -> SafeString:
        url = reverse("admin:prompts_prompt_rollout", args=[rollout.prompt_id])
        return format_html('<a href="{}">Change this rollout</a>', url)


@admin.register(PromptTag)
class PromptTagAdmin(ReadOnlyAdmin[PromptTag]):
    """Which tags there are, and on what. They are edited with their prompt."""

    list_display = ["name", "prompt"]
    list_filter = [EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt"]
    list_defer = ["prompt__content", "prompt__config"]
    search_fields = ["name", "prompt__key"]
    ordering = ["name", "id"]
