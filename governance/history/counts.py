"""How long the logs are, and where in them a page is, without counting millions of rows for each list.

Entries are only added, with the time of now, so the number of entries of an hour that is over is final. It is counted
once, by a periodic task of the servers, and stored as a `LogCount`. A list adds up these counts and counts only what
came since. Where nothing is stored yet, everything counts as having come since: the result is the same, only slower.

Whoever adds entries with an earlier time has to add them to the `LogCount` of their hour as well. docs/performance.md
has what a list would cost without these counts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Count, Model, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from governance.core import registry
from governance.history.models import LogCount

#: An hour counts as over this long after its end, when the last transaction of it has been committed for sure.
SETTLED = timedelta(minutes=10)

HOUR = timedelta(hours=1)

_AT_ONCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CountedLog(registry.Entry):
    """A log whose hours are counted, and the name that its counts are stored under."""

    name: str
    model: type[Model]


def settled() -> datetime:
    """The end of the last hour that is over."""
    return (timezone.now() - SETTLED).replace(minute=0, second=0, microsecond=0)


def count() -> None:
    """Count the hours that are over and were not counted yet. Two processes that do it at once count the same.

    It goes from hour with entries to hour with entries, however long nothing happened in between.
    """
    over = settled()
    for log in registry.entries(CountedLog):
        entries: QuerySet[Any] = log.model._default_manager.order_by()
        counted = _counted_until(LogCount.objects.filter(log=log.name))
        while (begin := _next_hour(entries, counted, over)) is not None:
            counted = end = min(begin + _AT_ONCE, over)
            rows = (
                entries.filter(created_at__gte=begin, created_at__lt=end)
                .annotate(hour=TruncHour("created_at"))
                .values("hour", "workspace_id")
                .annotate(count=Count("pk"))
            )
            LogCount.objects.bulk_create(
                [
                    LogCount(log=log.name, hour=row["hour"], workspace_id=row["workspace_id"] or "", count=row["count"])
                    for row in rows
                ],
                ignore_conflicts=True,
            )


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of time up to `end` (None: up to now), and how many entries were added in it."""

    end: datetime | None
    count: int


class CountedPages:
    """Entries as a paginator asks for them: `count()` and slices. Newest first.

    `entries` are those between `since` and `until`, `counted` the counts of the same log in the same workspaces.
    """

    ordered = True  # what Django's paginator asks a list

    def __init__(
        self,
        entries: QuerySet[Any],
        counted: QuerySet[LogCount],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._entries = entries
        self._counted = counted
        self._since = since
        self._until = until

    def count(self) -> int:
        return sum(span.count for span in self._spans)

    def __getitem__(self, wanted: slice) -> list[Any]:
        """The database skips entries only in the span that the page begins in."""
        offset = wanted.start or 0
        limit = wanted.stop - offset
        for span in self._spans:
            if offset < span.count:
                entries = self._entries if span.end is None else self._entries.filter(created_at__lt=span.end)
                return list(entries[offset : offset + limit])
            offset -= span.count
        return []

    @cached_property
    def _spans(self) -> list[_Span]:
        """First what is not counted yet, then each hour that is, then the rest of an hour that `since` cuts."""
        since, until = self._since, self._until
        first_whole = _ceiling(since) if since else None
        within = Q() if first_whole is None else Q(hour__gte=first_whole)
        if until is not None:
            within &= Q(hour__lte=until - HOUR)
        rows = self._counted.filter(within).order_by("-hour").values_list("hour").annotate(count=Sum("count"))
        hours = list(rows)
        newest = hours[0][0] + HOUR if hours else first_whole
        recent = self._entries.filter(created_at__gte=newest) if newest else self._entries
        spans = [_Span(None, recent.order_by().count())]
        spans += [_Span(hour + HOUR, number) for hour, number in hours]
        if since is not None and first_whole is not None and since < first_whole:
            cut = self._entries.filter(created_at__lt=min(first_whole, until) if until else first_whole)
            spans.append(_Span(first_whole, cut.order_by().count()))
        return spans


def _counted_until(counted: QuerySet[LogCount]) -> datetime | None:
    newest = counted.order_by("-hour").values_list("hour", flat=True).first()
    return newest + HOUR if newest else None


def _next_hour(entries: QuerySet[Any], since: datetime | None, until: datetime) -> datetime | None:
    """The hour of the first entry between these moments."""
    left = entries.filter(created_at__lt=until)
    if since is not None:
        left = left.filter(created_at__gte=since)
    first: datetime | None = left.order_by("created_at").values_list("created_at", flat=True).first()
    return first and first.replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if hour == moment else hour + HOUR
