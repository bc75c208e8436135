"""Workflows in the back office: drafts are edited as JSON, published and rolled back here, through the services."""

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString

from governance.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin, actor_of, as_json
from governance.admin.filters import WorkspaceFilter
from governance.admin.forms import JsonField, LinesField, OperationForm, ServiceForm, code
from governance.errors import DomainError
from workflows import definition, run_admin, services
from workflows.models import DEFINITION_FIELDS, Workflow, WorkflowVersion
from workflows.serializers import (
    INPUTS,
    OUTPUTS,
    WorkflowPublishSerializer,
    WorkflowRollbackSerializer,
    WorkflowSerializer,
)
from workflows.steps import STEP_TYPES

VERSIONS_ON_THE_PAGE = 20
__all__ = ["run_admin"]  # Django looks for this module alone


class WorkflowForm(ServiceForm[Workflow]):
    serializer_class = WorkflowSerializer
    related = ("workspace",)
    description = LinesField(required=False, max_length=2000)
    inputs = JsonField(required=False, empty={}, help_text=INPUTS)
    steps = JsonField(
        empty=[], widget=code(14), help_text=f"A JSON list of steps, each with its type: {', '.join(STEP_TYPES)}."
    )
    outputs = JsonField(required=False, empty={}, help_text=OUTPUTS)

    def starting_values(self) -> dict[str, Any]:
        return definition.shown(self.instance.definition)

    def add_refusal(self, refusal: DomainError) -> None:
        """A definition's problems, each at its field and with its place in it."""
        nested = {name: problems for name, problems in (refusal.fields or {}).items() if isinstance(problems, dict)}
        if not nested or not nested.keys() <= self.fields.keys():
            super().add_refusal(refusal)
            return
        for name, problems in nested.items():
            others = [
                f"{name}[{place}]: {said}" for place in list(problems)[1:] for said in _sentences(problems[place])
            ]
            self.add_error(name, [refusal.message, *others])


class PublishForm(OperationForm):
    serializer_class = WorkflowPublishSerializer
    dropped_when_empty = ("version",)
    note = forms.CharField(
        required=False, max_length=1000, widget=admin.widgets.AdminTextInputWidget, help_text="What is new in it."
    )
    version = forms.CharField(
        required=False,
        max_length=64,
        help_text="The new version's label. Empty for the draft's own, or if that is taken, the next free one.",
    )


class RollbackForm(OperationForm):
    serializer_class = WorkflowRollbackSerializer
    version = forms.ChoiceField(help_text="It becomes live again, and the draft becomes equal to it.")

    def __init__(self, data: Any, *, row: Workflow, initial: dict[str, Any]) -> None:
        super().__init__(data, row=row, initial=initial)
        choice: Any = self.fields["version"]
        labels = row.versions.values_list("label", flat=True)
        choice.choices = [("", "---------"), *((label, label) for label in labels)]


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("draft", "Draft: never published"),
            ("published", "Published: the draft is live"),
            ("modified", "Modified: the draft differs"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        if self.value() == "draft":
            return queryset.filter(live=None)
        if self.value() == "published":
            return queryset.filter(live__digest=F("draft_digest"))
        if self.value() == "modified":
            return queryset.exclude(live=None).exclude(live__digest=F("draft_digest"))
        return queryset


@admin.register(Workflow)
class WorkflowAdmin(ServiceAdmin[Workflow]):
    form = WorkflowForm
    list_display = ["key", "name", "workspace", "status", "live_version", "step_names", "updated_at"]
    list_filter = [StatusFilter, WorkspaceFilter]
    list_select_related = ["workspace", "live"]
    list_defer = ["description", "inputs", "outputs", *(f"live__{name}" for name in DEFINITION_FIELDS)]
    search_fields = ["key", "name", "description"]
    ordering = ["-updated_at", "-id"]
    add_fields = ["workspace", "key", "name", "description", "inputs", "steps", "outputs", "version"]
    change_fields = add_fields[1:]
    readonly_fields = ["workspace", "status", "live_version", "created_at", "updated_at"]
    change_form_template = "workflows/admin/workflow.html"
    actions = ["delete_selected", "publish_selected"]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("publish", self.publish_view),
            self.operation_url("rollback", self.rollback_view),
            *super().get_urls(),
        ]

    @admin.display(ordering="live__label")
    def live_version(self, workflow: Workflow) -> str | None:
        return workflow.live.label if workflow.live else None

    @admin.display(description="steps")
    def step_names(self, workflow: Workflow) -> str:
        return ", ".join(step["name"] for step in workflow.steps)

    def belongings(self, rows: Iterable[Workflow]) -> dict[str, int]:
        return {"versions": WorkflowVersion.objects.filter(workflow__in=list(rows)).count()}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Workflow | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context["versions"] = obj.versions.defer(*DEFINITION_FIELDS)[:VERSIONS_ON_THE_PAGE]
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- through the services -----------------------------------------------------------------------------------

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Workflow:
        return services.create_workflow(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Workflow, values: dict[str, Any], if_match: str | None) -> Workflow:
        return services.update_workflow(actor=actor, workflow=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Workflow) -> None:
        services.delete_workflow(actor=actor, workflow=row)

    @admin.action(permissions=["change"], description="Publish selected %(verbose_name_plural)s")
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda row: services.publish(actor=actor, workflow=row), "Published")

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, workflow: Workflow, form: PublishForm) -> str:
            version = services.publish(actor=actor, workflow=workflow, if_match=form.seen, **form.values)
            return f"Published {workflow.key} {version.label}."

        return self.operate(
            request,
            object_id,
            title="Publish",
            form_class=PublishForm,
            perform=perform,
            button="Publish",
            note="Makes a version of the draft as it is now, and makes it live: runs that begin from now on take it.",
        )

    def rollback_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, workflow: Workflow, form: RollbackForm) -> str:
            done = services.rollback(actor=actor, workflow=workflow, if_match=form.seen, **form.values)
            return f"Rolled {done.key} back to {done.version}."

        return self.operate(
            request, object_id, title="Roll back", form_class=RollbackForm, perform=perform, button="Roll back"
        )


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin[WorkflowVersion]):
    list_display = ["created_at", "workflow", "label", "workspace", "live", "note", "created_by"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["workflow__workspace"]
    list_defer = [*DEFINITION_FIELDS, *(f"workflow__{name}" for name in DEFINITION_FIELDS)]
    search_fields = ["workflow__key", "label", "note", "created_by"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    shown = ["workflow", "label", "number", "definition", "note", "created_by", "created_at", "live"]

    @admin.display(ordering="workflow__workspace__name")
    def workspace(self, version: WorkflowVersion) -> str:
        return version.workflow.workspace.name

    @admin.display(boolean=True)
    def live(self, version: WorkflowVersion) -> bool:
        return version.workflow.live_id == version.pk

    @admin.display
    def definition(self, version: WorkflowVersion) -> SafeString:
        return as_json(definition.shown(version.definition))


def _sentences(problems: Any) -> Iterator[str]:
    """The sentences in a nest of problems, each with its place."""
    if isinstance(problems, dict):
        for name, inner in problems.items():
            yield from (f"{name}: {said}" for said in _sentences(inner))
    elif isinstance(problems, list):
        for inner in problems:
            yield from _sentences(inner)
    else:
        yield str(problems)
