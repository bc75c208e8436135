"""Rollups: runs added up by hour, day and month as they end, so that statistics never read the run log."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from governance.runs.models import BUCKETS, Grain, Run, RunStatus, RunTally

#: The columns that runs of one rollup have in common.
DIMENSIONS = ("workspace_id", "source", "ref_key", "environment", "version", "variant", "provider", "model")

LATENCIES = tuple(f"latency_{bucket}" for bucket in range(BUCKETS))

COUNTS = (
    *("ok", "error", "interrupted", "prompt_tokens", "output_tokens", "cached_tokens"),
    *("priced", "cost_usd", "timed", "latency_ms", *LATENCIES),
)

_COLUMNS = ("grain", "start", "digest", *DIMENSIONS, *COUNTS)


def floor(moment: datetime, grain: str) -> datetime:
    """The beginning of the hour, the day or the month (UTC) that `moment` is in."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if grain == Grain.HOUR:
        return hour
    return hour.replace(hour=0) if grain == Grain.DAY else hour.replace(day=1, hour=0)


def following(start: datetime, grain: str) -> datetime:
    """The beginning of the next one."""
    if grain == Grain.MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + (timedelta(hours=1) if grain == Grain.HOUR else timedelta(days=1))


def bucket_of(latency_ms: int) -> int:
    """The bucket that counts this latency: number n counts those from sqrt(2)**n up to sqrt(2)**(n+1) ms."""
    return min(BUCKETS - 1, int(2 * math.log2(latency_ms))) if latency_ms > 1 else 0


def add(runs: Iterable[Run]) -> None:
    """Add runs that have ended, in the transaction that ended them, so that each is counted once."""
    ended = list(runs)
    counted_with_steps = _counted_with_steps(ended)
    rows: dict[tuple[str, datetime, str], list[Any]] = {}
    for run in ended:
        common, digest = [getattr(run, name) for name in DIMENSIONS], _digest_of(run)
        counts = _counts(run, used=run.pk not in counted_with_steps)
        for grain in Grain.values:
            key = (grain, floor(run.created_at, grain), digest)
            row = rows.setdefault(key, [*key, *common, *([0] * len(COUNTS))])
            for place, count in enumerate(counts, len(row) - len(COUNTS)):
                row[place] += count
    # In the same order in every process, so that two transactions never wait for each other in a circle.
    _upsert([rows[key] for key in sorted(rows)])


def take_back(run: Run) -> None:
    """Subtract a run that had ended and is resumed, in the transaction that opens it again."""
    digest = _digest_of(run)
    counts = _counts(run, used=not _counted_with_steps([run]))
    less = {name: F(name) - count for name, count in zip(COUNTS, counts, strict=True) if count}
    for grain in sorted(Grain.values):
        RunTally.objects.filter(grain=grain, start=floor(run.created_at, grain), digest=digest).update(**less)


def rebuild() -> int:
    """Make all rollups anew from the run log; returns how many ended runs it has."""
    with transaction.atomic():
        RunTally.objects.all().delete()
        ended = Run.objects.exclude(status=RunStatus.RUNNING).order_by("created_at")
        count, batch = 0, []
        for run in ended.iterator(chunk_size=2000):
            batch.append(run)
            if len(batch) == 2000:
                add(batch)
                count, batch = count + len(batch), []
        add(batch)
        return count + len(batch)


def _digest_of(run: Run) -> str:
    common = [getattr(run, name) for name in DIMENSIONS]
    return hashlib.sha256(json.dumps(common).encode()).hexdigest()[:32]


def _counted_with_steps(runs: Sequence[Run]) -> set[Any]:
    """The ids of the workflows among `runs` whose steps have runs of their own, with which their tokens are counted."""
    workflows = [run.pk for run in runs if run.source == "workflow"]
    if not workflows:
        return set()
    return set(Run.objects.filter(parent_id__in=workflows).order_by().values_list("parent_id", flat=True).distinct())


def _counts(run: Run, *, used: bool) -> list[Any]:
    latencies = [0] * BUCKETS
    if run.latency_ms is not None:
        latencies[bucket_of(run.latency_ms)] = 1
    return [
        int(run.status == RunStatus.OK),
        int(run.status == RunStatus.ERROR),
        int(run.status == RunStatus.INTERRUPTED),
        (used and run.prompt_tokens) or 0,
        (used and run.output_tokens) or 0,
        (used and run.cached_tokens) or 0,
        int(used and run.cost_usd is not None),
        (used and run.cost_usd) or 0,
        int(run.latency_ms is not None),
        run.latency_ms or 0,
        *latencies,
    ]


def _upsert(rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to those that are there, one statement for each batch: the database adds, so that no count is lost."""
    table, quote = RunTally._meta.db_table, connection.ops.quote_name
    columns = ", ".join(map(quote, _COLUMNS))
    sums = ", ".join(f"{quote(name)} = {quote(table)}.{quote(name)} + excluded.{quote(name)}" for name in COUNTS)
    fields: list[Any] = [RunTally._meta.get_field(name) for name in _COLUMNS]
    places = f"({', '.join(['%s'] * len(_COLUMNS))})"
    at_once = 400  # rows; SQLite takes 32,766 values in a statement
    with connection.cursor() as cursor:
        for first in range(0, len(rows), at_once):
            batch = rows[first : first + at_once]
            values = [
                # Most are plain numbers, which need no conversion: it took a tenth of what a run costs.
                value if isinstance(value, int | str) else field.get_db_prep_save(value, connection)
                for row in batch
                for field, value in zip(fields, row, strict=True)
            ]
            cursor.execute(
                f"INSERT INTO {quote(table)} ({columns}) VALUES {', '.join([places] * len(batch))} "  # noqa: S608
                f"ON CONFLICT (grain, start, digest) DO UPDATE SET {sums}",
                values,
            )
