"""Pages of the run log under any filter that rollups have, without counting or skipping a million rows.

Rollups say how many runs of which kind ended in each hour and day. So they say how long a list is, which hours a page
is in, and how many runs of the first of these hours come before the page. Only these hours of the run log are read,
however rare the runs are that somebody looks for. Runs that have not ended are in no rollup; they are few, and an index
finds them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import QuerySet, Sum
from django.utils import timezone

from governance.history.windows import BEGINNING
from governance.runs.models import Grain, Run, RunStatus, RunTally
from governance.runs.rollups import floor, following
from governance.runs.statistics import running, spans, within

#: The columns of a rollup that count runs by status. Together they count every run that ended.
ENDED = ("ok", "error", "interrupted")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of runs from `start` (included) to `end` (excluded)."""

    start: datetime
    end: datetime
    count: int


class RunPages:
    """A list as a paginator asks for it: `count()` and slices. Newest first; four queries for a page.

    `runs` and `rollups` have the same filters, all but the status and the window. `since` and `until` are whole hours.
    Runs that end while a page is read may be on two pages or on none, as with any list that grows.
    """

    ordered = True  # what Django's paginator asks a list

    def __init__(
        self,
        runs: QuerySet[Run],
        rollups: QuerySet[RunTally],
        *,
        status: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._runs = runs.filter(status=status) if status else runs
        self._rollups = rollups
        self._columns = ENDED if not status else tuple({status} & {*ENDED})
        self._includes_running = status in ("", RunStatus.RUNNING)
        self._since = since or BEGINNING
        self._until = until or following(floor(timezone.now(), Grain.DAY), Grain.DAY)

    def count(self) -> int:
        return sum(day.count for day in self._days)

    def __getitem__(self, wanted: slice) -> list[Run]:
        offset, limit = wanted.start or 0, wanted.stop - (wanted.start or 0)
        days, offset = _of_page(self._days, offset, limit)
        hours, offset = _of_page(self._hours_of(days), offset, limit)
        if limit <= 0 or not hours:
            return []
        # A UNION of index ranges, one for each span: planners don't always use the index for alternatives in one query.
        first, *others = (
            self._runs.filter(created_at__gte=start, created_at__lt=end).order_by() for start, end in _joined(hours)
        )
        found = first.union(*others, all=True) if others else first
        return list(found.order_by("-created_at", "-id")[offset : offset + limit])

    @cached_property
    def _days(self) -> list[Bucket]:
        """A bucket for each day that has runs; for each hour where the window begins or ends within a day."""
        if self._since >= self._until:
            return []
        counts = self._counted(self._rollups.filter(within(spans(self._since, self._until, Grain.DAY))))
        for moment in self._running:
            if self._since <= moment < self._until:
                day, hour = floor(moment, Grain.DAY), floor(moment, Grain.HOUR)
                cut = day < self._since or following(day, Grain.DAY) > self._until
                start, end = (hour, following(hour, Grain.HOUR)) if cut else (day, following(day, Grain.DAY))
                counts[start, end] += 1
        return _newest_first(counts)

    def _hours_of(self, days: list[Bucket]) -> list[Bucket]:
        if not days:
            return []
        counts = self._counted(self._rollups.filter(within((Grain.HOUR, *span) for span in _joined(days))))
        for moment in self._running:
            hour = floor(moment, Grain.HOUR)
            if any(day.start <= moment < day.end for day in days):
                counts[hour, following(hour, Grain.HOUR)] += 1
        return _newest_first(counts)

    def _counted(self, rollups: QuerySet[RunTally]) -> Counter[tuple[datetime, datetime]]:
        """The number of ended runs by the start and end of each rollup."""
        counts: Counter[tuple[datetime, datetime]] = Counter()
        if self._columns:
            sums = {f"sum_{name}": Sum(name) for name in self._columns}
            for period, start, *numbers in rollups.order_by().values_list("grain", "start").annotate(**sums):
                counts[start, following(start, period)] = sum(numbers)
        return counts

    @cached_property
    def _running(self) -> list[datetime]:
        """When those runs of the list began that have not ended."""
        if not self._includes_running:
            return []
        found = self._runs.filter(pk__in=running(), status=RunStatus.RUNNING)
        return list(found.order_by().values_list("created_at", flat=True))


def _newest_first(counts: Counter[tuple[datetime, datetime]]) -> list[Bucket]:
    return [Bucket(start, end, count) for (start, end), count in sorted(counts.items(), reverse=True) if count > 0]


def _of_page(buckets: Iterable[Bucket], offset: int, limit: int) -> tuple[list[Bucket], int]:
    """The buckets that a page is in, and how many runs of the first of them come before the page."""
    found: list[Bucket] = []
    left = limit
    for bucket in buckets:
        if not found and offset >= bucket.count:
            offset -= bucket.count
            continue
        found.append(bucket)
        left -= bucket.count - (offset if len(found) == 1 else 0)
        if left <= 0:
            break
    return found, offset


def _joined(buckets: list[Bucket]) -> list[tuple[datetime, datetime]]:
    """The same time in as few spans as possible: buckets that touch are joined."""
    joined: list[tuple[datetime, datetime]] = []
    for bucket in sorted(buckets, key=lambda each: each.start):
        if joined and joined[-1][1] == bucket.start:
            joined[-1] = (joined[-1][0], bucket.end)
        else:
            joined.append((bucket.start, bucket.end))
    return joined
