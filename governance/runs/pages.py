"""Pages of the run log under any filter that the tallies know, without counting or skipping through a million rows.

The tallies say how many runs of what there were in each hour, so they tell how long a list is, which hours a page is
in, and how far into the first of these it begins: nothing but these hours is read, however rare what one looks for is.
Runs that still go on are in no tally; they are few and have an index of their own.
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

#: The columns of a tally that count the runs of a status; no status at all stands for all that ended.
ENDED = ("ok", "error", "interrupted")


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many runs from `start` (included) to `end` (excluded)."""

    start: datetime
    end: datetime
    count: int


class RunPages:
    """A list as a paginator asks for it: `count()` and slices. Newest first; four queries for a page.

    `runs` and `tallies` are narrowed down alike, by all but the status and the window. `since` and `until` are whole
    hours. Runs that end while a page is read may be on two pages, or on none, as with any list that grows.
    """

    ordered = True  # what Django's paginator asks a list

    def __init__(
        self,
        runs: QuerySet[Run],
        tallies: QuerySet[RunTally],
        *,
        status: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._runs = runs.filter(status=status) if status else runs
        self._tallies = tallies
        self._columns = ENDED if not status else tuple({status} & {*ENDED})
        self._counts_running = status in ("", RunStatus.RUNNING)
        self._since = since or BEGINNING
        self._until = until or following(floor(timezone.now(), Grain.DAY), Grain.DAY)

    def count(self) -> int:
        return sum(day.count for day in self._days)

    def __getitem__(self, wanted: slice) -> list[Run]:
        offset, limit = wanted.start or 0, wanted.stop - (wanted.start or 0)
        days, offset = _holding(self._days, offset, limit)
        hours, offset = _holding(self._hours_of(days), offset, limit)
        if limit <= 0 or not hours:
            return []
        # One index range an hour, put together: what a planner makes of them as alternatives depends on its mood.
        first, *others = (
            self._runs.filter(created_at__gte=start, created_at__lt=end).order_by() for start, end in _joined(hours)
        )
        found = first.union(*others, all=True) if others else first
        return list(found.order_by("-created_at", "-id")[offset : offset + limit])

    @cached_property
    def _days(self) -> list[Stretch]:
        """Days with what is in them; hours at the ends of a window that cuts a day."""
        if self._since >= self._until:
            return []
        whole = self._tallies.filter(within(spans(self._since, self._until, Grain.DAY)))
        counts = self._counted(whole)
        for moment in self._going:
            if self._since <= moment < self._until:
                day, hour = floor(moment, Grain.DAY), floor(moment, Grain.HOUR)
                cut = day < self._since or following(day, Grain.DAY) > self._until
                start, end = (hour, following(hour, Grain.HOUR)) if cut else (day, following(day, Grain.DAY))
                counts[start, end] += 1
        return _newest_first(counts)

    def _hours_of(self, days: list[Stretch]) -> list[Stretch]:
        if not days:
            return []
        counts = self._counted(self._tallies.filter(within((Grain.HOUR, *span) for span in _joined(days))))
        for moment in self._going:
            hour = floor(moment, Grain.HOUR)
            if any(day.start <= moment < day.end for day in days):
                counts[hour, following(hour, Grain.HOUR)] += 1
        return _newest_first(counts)

    def _counted(self, tallies: QuerySet[RunTally]) -> Counter[tuple[datetime, datetime]]:
        counts: Counter[tuple[datetime, datetime]] = Counter()
        if self._columns:
            sums = {f"sum_{name}": Sum(name) for name in self._columns}
            for grain, start, *numbers in tallies.order_by().values_list("grain", "start").annotate(**sums):
                counts[start, following(start, grain)] = sum(numbers)
        return counts

    @cached_property
    def _going(self) -> list[datetime]:
        """When the runs began that still go on."""
        if not self._counts_running:
            return []
        going = self._runs.filter(pk__in=running(), status=RunStatus.RUNNING)
        return list(going.order_by().values_list("created_at", flat=True))


def _newest_first(counts: Counter[tuple[datetime, datetime]]) -> list[Stretch]:
    return [Stretch(start, end, count) for (start, end), count in sorted(counts.items(), reverse=True) if count > 0]


def _holding(stretches: Iterable[Stretch], offset: int, limit: int) -> tuple[list[Stretch], int]:
    """Those that hold the page, and how many entries of the first are before it."""
    held: list[Stretch] = []
    left = limit
    for stretch in stretches:
        if not held and offset >= stretch.count:
            offset -= stretch.count
            continue
        held.append(stretch)
        left -= stretch.count - (offset if len(held) == 1 else 0)
        if left <= 0:
            break
    return held, offset


def _joined(stretches: list[Stretch]) -> list[tuple[datetime, datetime]]:
    """The same as few spans of time: those that touch are one."""
    joined: list[tuple[datetime, datetime]] = []
    for stretch in sorted(stretches, key=lambda each: each.start):
        if joined and joined[-1][1] == stretch.start:
            joined[-1] = (joined[-1][0], stretch.end)
        else:
            joined.append((stretch.start, stretch.end))
    return joined
