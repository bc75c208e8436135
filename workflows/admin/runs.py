"""Runs of workflows in the back office: what each of their steps came to, live, and what people decide about them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from rest_framework import serializers

from governance.access.actors import Actor
from governance.access.permissions import may
from governance.access.visibility import visible_to
from governance.admin.base import REFUSALS, ReadOnlyAdmin, actor_of, as_json, as_refusal
from governance.runs.admin.formatting import duration
from governance.runs.models import Run
from governance.tenancy.admin.filters import WorkspaceFilter
from workflows.admin import timeline
from workflows.models import AttemptState, Delivery, RunState, StepAttempt, Workflow, WorkflowRun, WorkflowWorker
from workflows.runs import control
from workflows.runs.serializers import DecisionSerializer, ResumeSerializer

TEXTS = ("definition", "variables", "output", "outputs", "bounds")


def state_of(row: WorkflowRun | StepAttempt) -> SafeString:
    """The status: a colour, and the word for those who can't tell colours apart."""
    return format_html('<span class="badge {}">{}</span>', timeline.COLOURS.get(row.status, ""), row.status)


@admin.register(WorkflowRun)
class WorkflowRunAdmin(ReadOnlyAdmin[WorkflowRun]):
    list_display = ["created_at", "workflow", "version", "state", "waits_for", "trigger", "actor", "took", "ended_at"]
    list_filter = ["status", "trigger", WorkspaceFilter]
    linked_lookups = ["workflow_id"]
    list_defer = TEXTS
    search_fields = ["key", "actor", "error"]
    date_hierarchy = "created_at"
    actions = ["cancel_selected"]
    change_form_template = "workflows/admin/run.html"

    class Media:
        css = {"all": ["governance/observe.css", "workflows/workflows.css", "workflows/run.css"]}

    def get_urls(self) -> list[URLPattern]:
        def page(name: str, view: Callable[..., HttpResponse]) -> URLPattern:
            wrapped = self.admin_site.admin_view(view)
            return path(f"<uuid:object_id>/{name}/", wrapped, name=f"workflows_workflowrun_{name}")

        pages = [("live", self.live_view), ("cancel", self.cancel_view), ("resume", self.resume_view)]
        return [*(page(*each) for each in pages), page("decide", self.decide_view), *super().get_urls()]

    # --- the list -----------------------------------------------------------------------------------------------

    @admin.display(ordering="key")
    def workflow(self, run: WorkflowRun) -> str:
        return run.key

    @admin.display(description="status", ordering="status")
    def state(self, run: WorkflowRun) -> SafeString:
        return state_of(run)

    @admin.display(description="worked", ordering="worked_ms")
    def took(self, run: WorkflowRun) -> str:
        return duration(run.worked_ms)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return may(actor_of(request), "workflow_run.cancel")

    @admin.action(permissions=["cancel"], description="Cancel selected runs")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> None:
        actor, cancelled = actor_of(request), 0
        for run in queryset:
            try:
                control.cancel(actor=actor, run=run)
                cancelled += 1
            except REFUSALS as error:
                self.message_user(request, f"{run.key}: {as_refusal(error).message}", messages.ERROR)
        self.message_user(request, f"Cancelled {cancelled} runs.", messages.SUCCESS)

    # --- a run --------------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: WorkflowRun | None) -> dict[str, Any]:
        if row is None:
            return {}
        actor = actor_of(request)
        return {
            "title": f"Run of {row.key}",
            "subtitle": None,
            "run": row,
            "flow": visible_to(actor, Workflow.objects.filter(pk=row.workflow_id)).first(),
            "logged": visible_to(actor, Run.objects.filter(pk=row.pk)).exists(),
            "variables": None if row.variables is None else as_json(row.variables),
            "live": self._live(request, row),
        }

    def live_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """The part of a run's page that moves; nothing (204) for who has `seen` just this."""
        run = self._run(request, object_id)
        if request.GET.get("seen") == self._tag(run):
            return HttpResponse(status=204)
        return HttpResponse(self._live(request, run))

    def _live(self, request: HttpRequest, run: WorkflowRun) -> str:
        actor = actor_of(request)
        tag = self._tag(run)  # before the attempts are read: what comes meanwhile is told at the next look
        attempts = list(run.attempts.order_by("id")[: timeline.MOST + 1])
        bars = timeline.of(run, attempts[: timeline.MOST])
        open_ = [
            one
            for one in attempts
            if one.type == "approval" and one.status == AttemptState.WAITING and one.decision is None
        ]
        resumable = not run.is_active and run.definition is not None and may(actor, "workflow_run.resume")
        result = run.output if run.outputs is None else run.outputs
        context = {
            "run": run,
            "state": state_of(run),
            "tag": tag,
            "worked": duration(run.worked_ms) if run.ended_at else "",
            "bars": [{"bar": bar, "badge": state_of(bar.attempt)} for bar in bars],
            "more": len(attempts) > timeline.MOST,
            "approvals": [{"attempt": one, "question": timeline.question(run, one, attempts)} for one in open_],
            "may_decide": may(actor, "workflow_run.decide"),
            "may_cancel": run.is_active and may(actor, "workflow_run.cancel"),
            "may_resume": resumable,
            "failed": run.status in {RunState.FAILED, RunState.CANCELLED},
            "starts": list(dict.fromkeys(bar.attempt.path for bar in bars if bar.depth == 0)) if resumable else [],
            "result": None if result is None else timeline.shown(result),
        }
        return render_to_string("workflows/admin/run_live.html", context, request=request)

    @staticmethod
    def _tag(run: WorkflowRun) -> str:
        last = run.attempts.order_by("-changed_at").values_list("changed_at", flat=True).first()
        return f"{run.changed_at.timestamp()} {last.timestamp() if last else 0}"

    # --- what people decide about it ----------------------------------------------------------------------------

    def cancel_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        def perform(actor: Actor, run: WorkflowRun) -> str:
            control.cancel(actor=actor, run=run)
            return "The run is cancelled."

        return self._do(request, object_id, "workflow_run.cancel", perform)

    def resume_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        def perform(actor: Actor, run: WorkflowRun) -> str:
            said = _checked(ResumeSerializer, {"from": request.POST.get("from", "")}, dropped="from")
            control.resume(actor=actor, run=run, step=said.get("from"))
            return "The run goes on."

        return self._do(request, object_id, "workflow_run.resume", perform)

    def decide_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        def perform(actor: Actor, run: WorkflowRun) -> str:
            verdict = request.POST.get("verdict")
            if verdict not in {"approve", "reject"}:
                raise PermissionDenied
            comment = request.POST.get("comment", "").replace("\r\n", "\n")
            said = _checked(DecisionSerializer, {"comment": comment, "step": request.POST.get("step", "")})
            control.decide(actor=actor, run=run, approved=verdict == "approve", **said)
            return "Approved: the run goes on." if verdict == "approve" else "Rejected."

        return self._do(request, object_id, "workflow_run.decide", perform)

    def _do(
        self,
        request: HttpRequest,
        object_id: Any,
        capability: str,
        perform: Callable[[Actor, WorkflowRun], str],
    ) -> HttpResponse:
        actor, run = actor_of(request), self._run(request, object_id)
        if not may(actor, capability):
            raise PermissionDenied
        if request.method == "POST":
            try:
                self.message_user(request, perform(actor, run), messages.SUCCESS)
            except REFUSALS as error:
                self.message_user(request, as_refusal(error).message, messages.ERROR)
            except serializers.ValidationError as error:
                detail: Any = error.detail
                name, problems = next(iter(detail.items()))
                self.message_user(request, f"{name}: {problems[0]}", messages.ERROR)
        return HttpResponseRedirect(reverse("admin:workflows_workflowrun_change", args=[run.pk]))

    def _run(self, request: HttpRequest, object_id: Any) -> WorkflowRun:
        run = self.get_object(request, str(object_id))
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        if run is None:
            raise Http404
        return run


def _checked(
    serializer: type[serializers.Serializer[Any]], given: dict[str, Any], *, dropped: str = ""
) -> dict[str, Any]:
    checked = serializer(data={name: value for name, value in given.items() if value or name != dropped})
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


@admin.register(StepAttempt)
class StepAttemptAdmin(ReadOnlyAdmin[StepAttempt]):
    list_display = ["started_at", "run", "path", "number", "type", "state", "ended_at"]
    list_filter = ["status", "type"]
    list_select_related = ["run"]
    list_defer = ["input", "output", "trace", "memo", *(f"run__{name}" for name in TEXTS)]
    search_fields = ["run__key", "path", "error"]
    date_hierarchy = "started_at"
    ordering = ["-id"]
    shown = ["run", "path", "number", "type", "state", "went_in", "came_out", "error", "started_at", "ended_at"]

    @admin.display(description="status", ordering="status")
    def state(self, attempt: StepAttempt) -> SafeString:
        return state_of(attempt)

    @admin.display(description="input")
    def went_in(self, attempt: StepAttempt) -> SafeString:
        return as_json(attempt.input)

    @admin.display(description="output")
    def came_out(self, attempt: StepAttempt) -> SafeString:
        return as_json(attempt.output)


@admin.register(WorkflowWorker)
class WorkflowWorkerAdmin(ReadOnlyAdmin[WorkflowWorker]):
    scoped = False
    list_display = ["id", "started_at"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin[Delivery]):
    """Calls of webhooks that were taken a short while ago."""

    list_display = ["webhook_id", "forget_at"]
    shown = ["webhook_id", "forget_at"]
