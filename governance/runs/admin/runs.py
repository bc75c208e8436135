"""The run log in the back office: the list, a page for each run, and its ratings."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from governance.access.actors import Actor
from governance.access.permissions import may
from governance.access.visibility import visible_to
from governance.admin.base import ReadOnlyAdmin, actor_of, block
from governance.core import registry
from governance.history.admin.lists import LogAdmin
from governance.runs import log, traces
from governance.runs.admin import statistics
from governance.runs.admin.formatting import badge, duration, facts_of, money, tokens_of
from governance.runs.admin.forms import RunForm
from governance.runs.models import Run, RunContent, RunFeedback, RunTally
from governance.runs.pages import RunPages
from governance.runs.rollups import COUNTS, DIMENSIONS, LATENCIES
from governance.runs.serializers import FeedbackSerializer
from governance.tenancy.admin.filters import WorkspaceFilter

EXPORTED = (
    *("id", "created_at", "workspace_id", "source", "ref_id", "ref_key", "prompt_id", "parent_id", "environment"),
    *("version", "variant", "provider", "model", "status", "error", "prompt_tokens", "output_tokens", "cached_tokens"),
    *("tokens_estimated", "cost_usd", "latency_ms", "actor"),
)


@admin.register(Run)
class RunAdmin(LogAdmin[Run]):
    form_class = RunForm
    exported = EXPORTED
    list_display = [
        *("created_at", "state", "what", "env", "version", "on_what", "tokens", "cost", "latency", "workspace"),
        "actor",
    ]
    change_form_template = "governance/admin/run.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("stats/", view(self.stats_view), name="governance_run_stats"),
            path("stats/data/", view(self.stats_data_view), name="governance_run_stats_data"),
            path("<uuid:object_id>/feedback/", view(self.feedback_view), name="governance_run_feedback"),
            *super().get_urls(),
        ]

    def stats_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        return statistics.page(self, request)

    def stats_data_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        return statistics.data(request)

    # --- the list -----------------------------------------------------------------------------------------------

    def pages_of(self, request: HttpRequest, form: Any, rows: QuerySet[Run]) -> Any:
        if not form.is_valid() or form.run_id() is not None:
            return form.within(rows)
        tallies = form.narrowed(visible_to(actor_of(request), RunTally.objects.all()))
        since, until = form.span()
        return RunPages(form.narrowed(rows), tallies, status=form.chosen.get("status", ""), since=since, until=until)

    @admin.display(description="status")
    def state(self, run: Run) -> SafeString:
        return badge(run)

    @admin.display(description="what ran")
    def what(self, run: Run) -> str:
        return f"{run.source} {run.ref_key}".strip()

    @admin.display(description="model")
    def on_what(self, run: Run) -> str:
        return f"{run.provider} / {run.model}" if run.model else run.provider

    @admin.display
    def env(self, run: Run) -> str:
        return run.environment

    @admin.display(description="tokens")
    def tokens(self, run: Run) -> str:
        return tokens_of(run)

    @admin.display
    def cost(self, run: Run) -> str:
        return money(run.cost_usd)

    @admin.display
    def latency(self, run: Run) -> str:
        return duration(run.latency_ms)

    @admin.display
    def workspace(self, run: Any) -> str:
        return str(run.workspace_name)

    # --- a run --------------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: Run | None) -> dict[str, Any]:
        if row is None:
            return {}
        actor = actor_of(request)
        feedback = list(row.feedback.all())
        return {
            "title": f"{row.source} {row.ref_key}".strip().capitalize(),
            "subtitle": None,
            "run": row,
            "badge": badge(row),
            "facts": facts_of(row),
            "content": RunContent.objects.filter(run=row).first(),
            "trace": [
                {"node": node, "badge": badge(node.run), "tokens": tokens_of(node.run)}
                | {"latency": duration(node.run.latency_ms)}
                for node in traces.of(row, visible_to(actor, Run.objects.all()))
            ],
            "subjects": _subjects(row, actor),
            "feedback": feedback,
            "own": next((one for one in feedback if one.actor_identity == actor.identity), None),
            "may_rate": may(actor, "run.feedback"),
        }

    def feedback_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """Rate a run, by an actor who may see it."""
        actor, run = actor_of(request), self.get_object(request, str(object_id))
        if not (self.has_view_permission(request, run) and may(actor, "run.feedback")):
            raise PermissionDenied
        if run is None:
            return self._missing(request, str(object_id))
        if request.method == "POST":
            body = FeedbackSerializer(data=_feedback_in(request))
            if body.is_valid():
                log.rate(run=run, actor=actor, **body.validated_data)
                self.message_user(request, "Your feedback is noted.", messages.SUCCESS)
            else:
                name, problems = next(iter(body.errors.items()))
                self.message_user(request, f"{name}: {problems[0]}", messages.ERROR)
        return HttpResponseRedirect(reverse("admin:governance_run_change", args=[run.pk]))


def _feedback_in(request: HttpRequest) -> dict[str, Any]:
    """The fields of a form, which are all text, in the types that the API takes."""
    body: dict[str, Any] = {"comment": request.POST.get("comment", "").replace("\r\n", "\n")}
    if "score" in request.POST:
        try:
            body["score"] = float(request.POST["score"])
        except ValueError:
            body["score"] = request.POST["score"]
    return body


def _subjects(run: Run, actor: Actor) -> list[tuple[str, str, str]]:
    """The pages of what ran, of those things that are still there and that one may see: word, name, address."""
    models = {subject.word: subject.model for subject in registry.entries(log.RunSubject)}
    wanted = {run.source: run.ref_id, "prompt": run.prompt_id}
    found = []
    for word, identity in wanted.items():
        model = models.get(word)
        if model is None or identity is None:
            continue
        row = visible_to(actor, model._default_manager.filter(pk=identity)).first()
        if row is not None:
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
            found.append((word, str(row), address))
    return found


@admin.register(RunContent)
class RunContentAdmin(ReadOnlyAdmin[RunContent]):
    """The texts of runs, where a workspace keeps them."""

    list_display = ["run", "delete_after"]
    list_select_related = ["run"]
    list_defer = ["prompt", "output"]
    search_fields = ["run__ref_key"]
    shown = ["run", "prompt_text", "output_text", "delete_after"]

    @admin.display(description="prompt")
    def prompt_text(self, content: RunContent) -> SafeString:
        return block(content.prompt)

    @admin.display(description="output")
    def output_text(self, content: RunContent) -> SafeString:
        return block(content.output)


@admin.register(RunFeedback)
class RunFeedbackAdmin(ReadOnlyAdmin[RunFeedback]):
    list_display = ["updated_at", "run", "actor", "score", "comment"]
    list_select_related = ["run"]
    search_fields = ["actor", "comment", "run__ref_key"]
    date_hierarchy = "updated_at"


@admin.register(RunTally)
class RunTallyAdmin(ReadOnlyAdmin[RunTally]):
    """Runs by the hour, the day and the month: what statistics are read from."""

    list_display = ["start", "grain", "source", "ref_key", "version", "provider", "model", "ok", "error", "interrupted"]
    list_filter = ["grain", "source", "provider", WorkspaceFilter]
    search_fields = ["ref_key", "model"]
    date_hierarchy = "start"
    shown = ["grain", "start", "workspace_id", *DIMENSIONS[1:], *COUNTS[: -len(LATENCIES)]]
