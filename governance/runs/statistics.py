"""Statistics of runs over a window, from rollups: as quick for a million runs as for ten thousand."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from governance.runs.models import Grain, Run, RunStatus, RunTally
from governance.runs.rollups import COUNTS, LATENCIES, floor, following

Span = tuple[str, datetime, datetime]

BREAKDOWNS = ("provider", "model", "version", "variant")

#: A series has a point an hour for windows up to this long, a point a day up to that, else a point a month.
HOURLY, DAILY = timedelta(hours=48), timedelta(days=93)


def spans(since: datetime, until: datetime, largest: str = Grain.MONTH) -> list[Span]:
    """Whole hours as few spans of rollups: months in the middle, then days, then hours at both ends; none overlap."""
    if largest == Grain.HOUR:
        return [(Grain.HOUR, since, until)] if since < until else []
    smaller = {Grain.MONTH: Grain.DAY, Grain.DAY: Grain.HOUR}[Grain(largest)]
    first = floor(since, largest)
    if first < since:
        first = following(first, largest)
    last = floor(until, largest)
    if first >= last:
        return spans(since, until, smaller)
    return [*spans(since, first, smaller), (largest, first, last), *spans(last, until, smaller)]


def running() -> list[uuid.UUID]:
    """The ids of the runs that have not ended. They are few, and asked for alone so that the index of them is used."""
    return list(Run.objects.filter(status=RunStatus.RUNNING).order_by().values_list("pk", flat=True))


def of(
    rollups: QuerySet[RunTally], running: QuerySet[Run], *, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    """The statistics of these rollups and `running` runs, as the API answers them, in whole hours (see `window`)."""
    begin, end = since or _first(rollups), until or following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    groups = _grouped(rollups.filter(within(spans(begin, end))), *BREAKDOWNS)
    totals = _figures(row[len(BREAKDOWNS) :] for row in groups)
    running = running.order_by()
    running = running.filter(created_at__gte=since) if since else running
    running = running.filter(created_at__lt=until) if until else running
    running_by_provider = Counter(running.values_list("provider", flat=True))
    providers = _breakdown(groups, 0, running_by_provider)
    return {
        "since": since,
        "until": until,
        "total": totals.pop("count") + running_by_provider.total(),
        **totals,
        "running": running_by_provider.total(),
        "by_provider": [{"provider": name, **figures} for name, figures in providers],
        **{
            f"by_{name}": [{name: value, **figures} for value, figures in _breakdown(groups, column, Counter())]
            for column, name in enumerate(BREAKDOWNS)
            if name != "provider"
        },
        **_series(rollups, begin, end),
    }


def _first(rollups: QuerySet[RunTally]) -> datetime:
    months = rollups.filter(grain=Grain.MONTH).order_by("start").values_list("start", flat=True)
    return months.first() or floor(timezone.now(), Grain.HOUR)


def within(spans: Iterable[Span]) -> Q:
    """The condition for rollups of these spans."""
    condition = Q(pk__in=[])
    for period, start, end in spans:
        condition |= Q(grain=period, start__gte=start, start__lt=end)
    return condition


def _grouped(rollups: QuerySet[RunTally], *names: str) -> list[tuple[Any, ...]]:
    """A row for each combination of values of the columns `names`: these values, then the sums of COUNTS."""
    sums = {f"sum_{name}": Sum(name) for name in COUNTS}
    return list(rollups.order_by().values(*names).annotate(**sums).values_list(*names, *sums))


def _figures(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """The figures that people see of several rows of COUNTS together."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COUNTS)
    counted: dict[str, Any] = {name: sum(column) for name, column in zip(COUNTS, columns, strict=True)}
    count = counted["ok"] + counted["error"] + counted["interrupted"]
    latencies = [counted[name] for name in LATENCIES]
    return {
        "count": count,
        "ok": counted["ok"],
        "error": counted["error"] + counted["interrupted"],
        "prompt_tokens": counted["prompt_tokens"],
        "output_tokens": counted["output_tokens"],
        "cached_tokens": counted["cached_tokens"],
        "cost_usd": float(counted["cost_usd"]),
        "unpriced": count - counted["priced"],
        "avg_latency_ms": round(counted["latency_ms"] / counted["timed"], 1) if counted["timed"] else 0.0,
        "p50_latency_ms": quantile(latencies, 0.5),
        "p95_latency_ms": quantile(latencies, 0.95),
    }


def quantile(latencies: list[int], q: float) -> float | None:
    """The latency (ms) below which a share `q` of all is, from the count of each bucket; None when there are none.

    Within a bucket they are taken as spread evenly, as Prometheus does it.
    """
    rank, seen = q * sum(latencies), 0
    for bucket, count in enumerate(latencies):
        if count and seen + count >= rank:
            low = 2 ** (bucket / 2) if bucket else 0.0
            return round(low + (2 ** ((bucket + 1) / 2) - low) * (rank - seen) / count, 1)
        seen += count
    return None


def _breakdown(
    groups: list[tuple[Any, ...]], column: int, running: Counter[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures by the value of one column, those with the most runs first. `running` counts runs by that value."""
    by_value: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in groups:
        by_value[row[column]].append(row[len(BREAKDOWNS) :])
    figures = {value: _figures(by_value.get(value, [])) for value in by_value.keys() | running.keys()}
    for value, count in running.items():
        figures[value]["count"] += count
    yield from sorted(figures.items(), key=lambda pair: (-pair[1]["count"], pair[0]))


def chart(
    rollups: QuerySet[RunTally], *, by: str | None, since: datetime | None, until: datetime | None, most: int = 6
) -> dict[str, Any]:
    """The figures over time, for charts: of all runs as one group, or of each value of the dimension `by`.

    The `most` values with the most runs are groups of their own, the rest is one more, named None. Each group has its
    figures in all (`total`) and one list of figures, with None where nothing ran, as long as `starts`, which has every
    point of the window.
    """
    begin, end = since or _first(rollups), until or following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    period = _period_of(begin, end)
    sums = {f"sum_{name}": Sum(name) for name in COUNTS}
    names = ("start", by) if by else ("start",)
    found = rollups.filter(within(spans(begin, end, period))).order_by().values(*names).annotate(**sums)
    rows: dict[Any, list[tuple[datetime, tuple[Any, ...]]]] = defaultdict(list)
    for start, *rest in found.values_list(*names, *sums):
        value, counts = (rest[0], rest[1:]) if by else ("", rest)
        rows[value].append((floor(start, period), tuple(counts)))
    totals = {value: _figures(counts for _, counts in of_value) for value, of_value in rows.items()}
    ranked = sorted(rows, key=lambda value: (-totals[value]["count"], value))
    groups: list[tuple[Any, list[tuple[datetime, tuple[Any, ...]]]]] = [(value, rows[value]) for value in ranked[:most]]
    if ranked[most:]:
        groups.append((None, [row for value in ranked[most:] for row in rows[value]]))
    starts = list(_points(begin, end, period))
    return {
        "interval": str(period),
        "starts": starts,
        "groups": [
            {"name": value, "total": _figures(counts for _, counts in of_value), "points": _spread(of_value, starts)}
            for value, of_value in groups
        ],
    }


def _spread(rows: list[tuple[datetime, tuple[Any, ...]]], starts: list[datetime]) -> list[dict[str, Any] | None]:
    """The figures of each point, None where nothing ran."""
    by_start: dict[datetime, list[tuple[Any, ...]]] = defaultdict(list)
    for start, counts in rows:
        by_start[start].append(counts)
    return [_figures(by_start[start]) if start in by_start else None for start in starts]


def _points(begin: datetime, end: datetime, period: Grain) -> Iterator[datetime]:
    """The start of each point of a chart."""
    start = floor(begin, period)
    while start < end:
        yield start
        start = following(start, period)


def _period_of(begin: datetime, end: datetime) -> Grain:
    """How long the time of one point of a chart is."""
    length = end - begin
    return Grain.HOUR if length <= HOURLY else Grain.DAY if length <= DAILY else Grain.MONTH


def _series(rollups: QuerySet[RunTally], begin: datetime, end: datetime) -> dict[str, Any]:
    """The runs over time. Points without runs are left out."""
    period = _period_of(begin, end)
    columns = ("ok", "error", "interrupted", "prompt_tokens", "output_tokens", "cost_usd", "timed", "latency_ms")
    sums = {f"sum_{name}": Sum(name) for name in columns}
    rows: Iterable[Any] = rollups.filter(within(spans(begin, end, period))).order_by().values("start").annotate(**sums)
    points: dict[datetime, Counter[str]] = defaultdict(Counter)
    for row in rows:
        points[floor(row["start"], period)].update({name: row[f"sum_{name}"] for name in columns})
    return {
        "interval": str(period),
        "series": [
            {
                "start": start,
                "count": point["ok"] + point["error"] + point["interrupted"],
                "error": point["error"] + point["interrupted"],
                "prompt_tokens": point["prompt_tokens"],
                "output_tokens": point["output_tokens"],
                "cost_usd": float(point["cost_usd"]),
                "avg_latency_ms": round(point["latency_ms"] / point["timed"], 1) if point["timed"] else 0.0,
            }
            for start, point in sorted(points.items())
        ],
    }
