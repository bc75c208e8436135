"""How long the logs are, and where in them a page is, without counting millions of rows for each list.

Entries are only ever added, at the end. So hours that are over are counted once, by the servers' sweep, and a list
counts no more than what came since. Where nobody has counted yet, all of it came since: the numbers are right anyway.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
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


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries from before `end` (None: up to now), newest first, so many of them."""

    end: datetime | None
    count: int


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


def stretches(
    entries: QuerySet[Any], counted: QuerySet[LogCount], *, since: datetime | None, until: datetime | None
) -> list[Stretch]:
    """The stretches of `entries`, newest first: those that nobody counted, hours that were, and cut ones at the ends.

    `counted` are the counts of the same log in the same workspaces.
    """
    first_whole = _ceiling(since) if since else None
    within = Q() if first_whole is None else Q(hour__gte=first_whole)
    if until is not None:
        within &= Q(hour__lte=until - HOUR)
    rows = counted.filter(within).order_by("-hour").values_list("hour").annotate(count=Sum("count"))
    hours = [(hour, number) for hour, number in rows]
    newest = hours[0][0] + HOUR if hours else first_whole
    recent = entries.filter(created_at__gte=newest) if newest else entries
    found = [Stretch(None, recent.order_by().count())]
    found += [Stretch(hour + HOUR, number) for hour, number in hours]
    if since is not None and first_whole is not None and since < first_whole:
        cut = entries.filter(created_at__lt=min(first_whole, until) if until else first_whole)
        found.append(Stretch(first_whole, cut.order_by().count()))
    return found


def page(entries: QuerySet[Any], stretches: list[Stretch], offset: int, limit: int) -> list[Any]:
    """The entries of a page: only the stretch that it begins in is skipped through."""
    for stretch in stretches:
        if offset < stretch.count:
            beginning = entries if stretch.end is None else entries.filter(created_at__lt=stretch.end)
            return list(beginning[offset : offset + limit])
        offset -= stretch.count
    return []


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
