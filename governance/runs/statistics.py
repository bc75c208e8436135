"""Statistics of runs over a window, from their tallies: as quick for a million runs as for ten thousand."""

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
    """Whole hours as few spans: months in the middle, then days, then hours at both ends. None overlaps another."""
    grain = {Grain.MONTH: Grain.DAY, Grain.DAY: Grain.HOUR}
    if largest == Grain.HOUR:
        return [(Grain.HOUR, since, until)] if since < until else []
    smaller = grain[Grain(largest)]
    first = floor(since, largest)
    if first < since:
        first = following(first, largest)
    last = floor(until, largest)
    if first >= last:
        return spans(since, until, smaller)
    return [*spans(since, first, smaller), (largest, first, last), *spans(last, until, smaller)]


def running() -> list[uuid.UUID]:
    """Running runs. They are few, and found by an index of their own, whatever other filters there are."""
    return list(Run.objects.filter(status=RunStatus.RUNNING).order_by().values_list("pk", flat=True))


def of(
    tallies: QuerySet[RunTally], running: QuerySet[Run], *, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    """The published statistics of what `tallies` and `running` runs leave, in whole hours (see `window`)."""
    begin, end = since or _first(tallies), until or following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    groups = _grouped(tallies.filter(within(spans(begin, end))), *BREAKDOWNS)
    totals = _figures(row[len(BREAKDOWNS) :] for row in groups)
    going = running.order_by()
    going = going.filter(created_at__gte=since) if since else going
    going = going.filter(created_at__lt=until) if until else going
    still = Counter(going.values_list("provider", flat=True))
    providers = _breakdown(groups, 0, still)
    return {
        "since": since,
        "until": until,
        "total": totals.pop("count") + sum(still.values()),
        **totals,
        "running": sum(still.values()),
        "by_provider": [{"provider": name, **figures} for name, figures in providers],
        **{
            f"by_{name}": [{name: value, **figures} for value, figures in _breakdown(groups, place, Counter())]
            for place, name in enumerate(BREAKDOWNS)
            if name != "provider"
        },
        **_series(tallies, begin, end),
    }


def _first(tallies: QuerySet[RunTally]) -> datetime:
    months = tallies.filter(grain=Grain.MONTH).order_by("start").values_list("start", flat=True)
    return months.first() or floor(timezone.now(), Grain.HOUR)


def within(wanted: Iterable[Span]) -> Q:
    within = Q(pk__in=[])
    for grain, start, end in wanted:
        within |= Q(grain=grain, start__gte=start, start__lt=end)
    return within


def _grouped(tallies: QuerySet[RunTally], *names: str) -> list[tuple[Any, ...]]:
    """Rows of those names' values and the sums of COUNTS."""
    sums = {f"sum_{name}": Sum(name) for name in COUNTS}
    return list(tallies.order_by().values(*names).annotate(**sums).values_list(*names, *sums))


def _figures(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """What several sums of COUNTS come to."""
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
    """The latency (ms) that a share `q` of the counted ones stays below, by buckets; None when none was counted.

    Within a bucket they are taken as spread evenly, as Prometheus does it.
    """
    wanted, seen = q * sum(latencies), 0
    for bucket, count in enumerate(latencies):
        if count and seen + count >= wanted:
            low = 2 ** (bucket / 2) if bucket else 0.0
            return round(low + (2 ** ((bucket + 1) / 2) - low) * (wanted - seen) / count, 1)
        seen += count
    return None


def _breakdown(groups: list[tuple[Any, ...]], place: int, still: Counter[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures by one of the names, those with the most runs first; `still` are those that go on."""
    by_value: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in groups:
        by_value[row[place]].append(row[len(BREAKDOWNS) :])
    figures = {value: _figures(by_value.get(value, [])) for value in by_value.keys() | still.keys()}
    for value, count in still.items():
        figures[value]["count"] += count
    yield from sorted(figures.items(), key=lambda pair: (-pair[1]["count"], pair[0]))


def chart(
    tallies: QuerySet[RunTally], *, by: str | None, since: datetime | None, until: datetime | None, most: int = 6
) -> dict[str, Any]:
    """The figures over time, for charts: of all runs as one group, or of each value of the dimension `by`.

    The `most` values with the most runs are groups of their own, the rest is one more, named None. Each group has its
    figures in all (`total`) and one list of figures, with None where nothing ran, as long as `starts`, which has every
    point of the window.
    """
    begin, end = since or _first(tallies), until or following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    grain = _grain_of(begin, end)
    sums = {f"sum_{name}": Sum(name) for name in COUNTS}
    names = ("start", by) if by else ("start",)
    found = tallies.filter(within(spans(begin, end, grain))).order_by().values(*names).annotate(**sums)
    rows: dict[Any, list[tuple[datetime, tuple[Any, ...]]]] = defaultdict(list)
    for start, *rest in found.values_list(*names, *sums):
        value, counts = (rest[0], rest[1:]) if by else ("", rest)
        rows[value].append((floor(start, grain), tuple(counts)))
    totals = {value: _figures(counts for _, counts in of_value) for value, of_value in rows.items()}
    ranked = sorted(rows, key=lambda value: (-totals[value]["count"], value))
    groups: list[tuple[Any, list[tuple[datetime, tuple[Any, ...]]]]] = [(value, rows[value]) for value in ranked[:most]]
    if ranked[most:]:
        groups.append((None, [row for value in ranked[most:] for row in rows[value]]))
    starts = list(_points(begin, end, grain))
    return {
        "interval": str(grain),
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


def _points(begin: datetime, end: datetime, grain: Grain) -> Iterator[datetime]:
    start = floor(begin, grain)
    while start < end:
        yield start
        start = following(start, grain)


def _grain_of(begin: datetime, end: datetime) -> Grain:
    length = end - begin
    return Grain.HOUR if length <= HOURLY else Grain.DAY if length <= DAILY else Grain.MONTH


def _series(tallies: QuerySet[RunTally], begin: datetime, end: datetime) -> dict[str, Any]:
    """The runs over time. Points without runs are left out."""
    grain = _grain_of(begin, end)
    wanted = ("ok", "error", "interrupted", "prompt_tokens", "output_tokens", "cost_usd", "timed", "latency_ms")
    sums = {f"sum_{name}": Sum(name) for name in wanted}
    rows: Iterable[Any] = tallies.filter(within(spans(begin, end, grain))).order_by().values("start").annotate(**sums)
    points: dict[datetime, Counter[str]] = defaultdict(Counter)
    for row in rows:
        points[floor(row["start"], grain)].update({name: row[f"sum_{name}"] for name in wanted})
    return {
        "interval": str(grain),
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
