"""The list of workflows, and the page on which one is built."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from rest_framework.exceptions import ParseError

from governance.access.actors import Actor
from governance.access.permissions import may
from governance.access.visibility import visible_to
from governance.admin.base import actor_of, block
from governance.admin.scripts import for_scripts, object_of
from governance.core.errors import InvalidInputError
from governance.templatetags.admin_tags import badge
from governance.tenancy.admin.filters import WorkspaceFilter
from workflows import services
from workflows.admin import form_schema
from workflows.admin.filters import StatusFilter
from workflows.admin.forms import WorkflowForm
from workflows.admin.running import WorkflowRunning
from workflows.admin.runs import TEXTS, state_of
from workflows.admin.versions import text_of
from workflows.definition import documents, parsing
from workflows.models import DEFINITION_FIELDS, Workflow, WorkflowRun, WorkflowVersion

VERSIONS_ON_THE_PAGE = RUNS_ON_THE_PAGE = 8


@admin.register(Workflow)
class WorkflowAdmin(WorkflowRunning):
    form = WorkflowForm
    list_display = ["key", "name", "workspace", "state", "live_version", "step_names", "updated_at"]
    list_filter = [StatusFilter, WorkspaceFilter]
    list_select_related = ["workspace", "live"]
    list_defer = ["description", "inputs", "outputs", *(f"live__{name}" for name in DEFINITION_FIELDS)]
    search_fields = ["key", "name", "description"]
    ordering = ["-updated_at", "-id"]
    add_fields = ["workspace", "key", "name", "description", "version", *DEFINITION_FIELDS]
    change_fields = add_fields[1:]
    readonly_fields = ["workspace"]
    change_form_template = "workflows/admin/workflow.html"
    change_list_template = "workflows/admin/workflows.html"
    actions = ["delete_selected", "publish_selected"]

    class Media:
        css = {"all": ["governance/form.css", "workflows/workflows.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("check/", view(check), name="workflows_workflow_check"),
            path("convert/", view(convert), name="workflows_workflow_convert"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Workflow | None = None) -> list[Any]:
        """A user who can't edit sees the definition as one text, without its secrets."""
        fields = super().get_fields(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fields
        return [*(name for name in fields if name not in DEFINITION_FIELDS), "text"]

    def get_readonly_fields(self, request: HttpRequest, obj: Workflow | None = None) -> list[Any]:
        return [*super().get_readonly_fields(request, obj), "text"]

    # --- columns and facts --------------------------------------------------------------------------------------

    @admin.display(description="status")
    def state(self, workflow: Workflow) -> SafeString:
        return badge(workflow.status)

    @admin.display(description="live", ordering="live__label")
    def live_version(self, workflow: Workflow) -> str | None:
        return workflow.live.label if workflow.live else None

    @admin.display(description="steps")
    def step_names(self, workflow: Workflow) -> SafeString:
        names = [step["name"] for step in workflow.steps]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return format_html("{}{}", " → ".join(names[:5]), more)

    @admin.display(description="definition")
    def text(self, workflow: Workflow) -> SafeString:
        return block(text_of(workflow))

    def belongings(self, rows: Iterable[Workflow]) -> dict[str, int]:
        return {"versions": WorkflowVersion.objects.filter(workflow__in=list(rows)).count()}

    # --- the page -----------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: Workflow | None) -> dict[str, Any]:
        actor, context = actor_of(request), dict[str, Any]()
        if row is not None:
            context["versions"] = row.versions.defer(*DEFINITION_FIELDS)[:VERSIONS_ON_THE_PAGE]
            context["may_run"] = may(actor, "workflow.run")
            found = visible_to(actor, WorkflowRun.objects.filter(workflow_id=row.pk)).defer(*TEXTS)
            context["runs"] = [{"run": run, "badge": state_of(run)} for run in found[:RUNS_ON_THE_PAGE]]
        if row is None or self.has_change_permission(request, row):
            context["builder"] = {
                **form_schema.for_form(actor, row.workspace_id if row else None),
                "id": str(row.pk) if row else "",
                "check": reverse("admin:workflows_workflow_check"),
                "convert": reverse("admin:workflows_workflow_convert"),
            }
        return context

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


# --- requests of the builder ---------------------------------------------------------------------------------------


@require_POST
@for_scripts("workflow.write")
def check(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """The problems with `{id?, inputs, steps, outputs}` by their places, as saving it would report them."""
    body = object_of(request)
    definition = {name: body[name] for name in DEFINITION_FIELDS if name in body}
    stored = visible_to(actor, Workflow.objects.filter(pk=body["id"])).first() if body.get("id") else None
    secrets = parsing.secrets_in(stored.definition) if stored else {}
    try:
        parsing.parse(definition, secrets=secrets)
    except InvalidInputError as error:
        return JsonResponse({"problems": error.fields or {}, "message": error.message})
    return JsonResponse({"problems": {}, "message": ""})


@require_POST
@for_scripts("workflow.write")
def convert(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """`{definition}` as YAML, or `{yaml}` as a definition, or the `problem` with it: unfinished text is no error."""
    body = object_of(request)
    if isinstance(body.get("definition"), dict):
        shown = {name: body["definition"].get(name) for name in DEFINITION_FIELDS}
        return JsonResponse({"yaml": documents.to_yaml({name: value for name, value in shown.items() if value})})
    if not isinstance(body.get("yaml"), str):
        raise InvalidInputError("expected either a definition or yaml")
    try:
        return JsonResponse({"definition": documents.from_yaml(body["yaml"])})
    except ParseError as error:
        return JsonResponse({"problem": str(error.detail).replace("the body", "this")})
