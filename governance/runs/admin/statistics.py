"""Charts of the run log over a window: a page with tables, and the same figures for the script that draws."""

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from governance.access.visibility import visible_to
from governance.admin.base import actor_of
from governance.runs import statistics
from governance.runs.admin.formatting import NOTHING, duration, label_of, money, number
from governance.runs.admin.forms import StatsForm
from governance.runs.models import RunTally


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure over time. `unit` is how a value is written."""

    name: str
    title: str
    unit: str

    def value(self, figures: dict[str, Any] | None) -> float | None:
        """The figure of a point: where nothing ran, a count is 0, and there is no latency."""
        if figures is None:
            return None if self.unit == "ms" else 0
        if self.name == "tokens":
            return int(figures["prompt_tokens"] + figures["output_tokens"])
        value: float | None = figures[self.name]
        return value

    def written(self, figures: dict[str, Any] | None) -> str:
        if self.unit == "usd" and figures and figures["unpriced"] == figures["count"]:
            return NOTHING  # not known
        return {"ms": duration, "usd": money}.get(self.unit, number)(self.value(figures))


CHARTS = (
    Chart("count", "Runs", ""),
    Chart("error", "Errors", ""),
    Chart("tokens", "Tokens, sent and received", ""),
    Chart("cost_usd", "Cost", "usd"),
    Chart("p50_latency_ms", "Latency, median", "ms"),
    Chart("p95_latency_ms", "Latency, 95th percentile", "ms"),
)


def page(admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """The page. What it draws is in tables on it too, for those who can't see a chart."""
    form, found = _find(request)
    names = [label_of(group["name"]) for group in found["groups"]]
    context = {
        **admin.admin_site.each_context(request),
        "title": "Statistics",
        "opts": admin.opts,
        "media": admin.media,
        "form": form,
        "told_apart": form.chosen.get("by", ""),
        "names": names,
        "totals": [
            {"name": name, "figures": [chart.written(group["total"]) for chart in CHARTS], "raw": group["total"]}
            for name, group in zip(names, found["groups"], strict=True)
        ],
        "interval": found["interval"],
        "charts": [{"chart": chart, "rows": _rows(chart, found)} for chart in CHARTS],
        "data_url": f"{reverse('admin:governance_run_stats_data')}?{request.GET.urlencode()}",
        "runs_url": reverse("admin:governance_run_changelist"),
    }
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "governance/admin/stats.html", context)


def data(request: HttpRequest) -> HttpResponse:
    """The lines of each chart: `values` has one list a group, as long as `starts` (seconds since 1970)."""
    form, found = _find(request)
    if not form.is_valid():
        problems = {name: [str(problem) for problem in listed] for name, listed in form.errors.items()}
        return JsonResponse({"error": "a filter can't be read", "fields": problems}, status=400)
    return JsonResponse(
        {
            "interval": found["interval"],
            "starts": [int(start.timestamp()) for start in found["starts"]],
            "groups": [label_of(group["name"]) for group in found["groups"]],
            "charts": [
                {
                    "name": chart.name,
                    "unit": chart.unit,
                    "values": [[chart.value(point) for point in group["points"]] for group in found["groups"]],
                }
                for chart in CHARTS
            ],
        }
    )


def _find(request: HttpRequest) -> tuple[StatsForm, dict[str, Any]]:
    actor = actor_of(request)
    form = StatsForm(request.GET, actor=actor)
    tallies = form.narrowed(visible_to(actor, RunTally.objects.all()))
    since, until = form.span()
    by = StatsForm.BY.get(form.chosen.get("by", ""))
    return form, statistics.chart(tallies, by=by, since=since, until=until)


def _rows(chart: Chart, found: dict[str, Any]) -> list[tuple[Any, list[str]]]:
    """A table's rows: the time and what each group has there; times at which nothing ran are left out."""
    return [
        (start, [chart.written(group["points"][place]) for group in found["groups"]])
        for place, start in enumerate(found["starts"])
        if any(group["points"][place] for group in found["groups"])
    ]
