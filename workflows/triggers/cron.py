"""When a cron expression comes true by the clocks of a time zone, also on the days when they are changed. Pure.

A cron whose hours are written out means times of day: each comes true once a day, as the clocks on the wall show it. A
time that clocks show twice counts the first time; one that they leave out counts when they are put forward. A cron for
every hour, such as `*/15 * * * *`, means a rhythm: it goes on through both of the hours that look alike.
"""

import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from croniter import CroniterError, croniter

from governance.core.errors import InvalidInputError

MAX_LENGTH = 100
MAX_YEARS = 5
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
#: A field whose value croniter would choose at random, each time anew.
_RANDOM = re.compile(r"(?<![A-Z])[HR](?![A-Z])", re.IGNORECASE)


def next_tick(cron: str, zone: str, after: datetime) -> datetime:
    """The first tick after that moment, in UTC. Raises InvalidInputError for what is no cron expression, or no time
    zone."""
    try:
        place = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInputError.of("timezone", "expected a name such as Europe/Berlin or UTC") from None
    if len(cron.split()) != 5 or len(cron) > MAX_LENGTH or _RANDOM.search(cron):
        raise InvalidInputError.of("cron", "expected five fields: minute, hour, day of month, month, day of week")
    try:
        if _is_rhythm(cron):
            return _next_of_rhythm(cron, place, after.astimezone(UTC))
        return _next_time_of_day(cron, place, after.astimezone(UTC))
    except (CroniterError, ValueError, KeyError, OverflowError) as error:
        raise InvalidInputError.of("cron", f"expected a cron expression that comes true: {error}") from None


def _is_rhythm(cron: str) -> bool:
    """Whether it is for every hour, or for every so many."""
    hours = croniter(cron, datetime(2000, 1, 1)).expanded[1]
    return cron.split()[1].startswith("*") or "*" in hours or len(set(hours)) == 24


def _next_time_of_day(cron: str, place: tzinfo, after: datetime) -> datetime:
    """Times of day never come sooner than earlier ones, so that the first one beyond `after` is the one."""
    for wall in _matches(cron, _wall(after, place)):
        moment = _first_moment(wall, place)
        if moment > after:
            return moment
    raise AssertionError("matches have no end")


def _next_of_rhythm(cron: str, place: tzinfo, after: datetime) -> datetime:
    """Between two changes of the clocks a time of day is one moment; so it is looked for from change to change."""
    wall = _wall(after, place)
    while True:
        offset = _offset(after, place)
        moment = (next(_matches(cron, wall)) - offset).replace(tzinfo=UTC)
        changed = _first_change(after, moment, place)
        if changed is None:
            return moment
        wall, after = _wall(changed, place) - _SECOND, changed


def _matches(cron: str, wall: datetime) -> Iterator[datetime]:
    """The times after `wall` at which it comes true for clocks that are never changed."""
    times = croniter(cron, wall, max_years_between_matches=MAX_YEARS)
    while True:
        yield times.get_next(datetime)


def _first_moment(wall: datetime, place: tzinfo) -> datetime:
    """When clocks show that time, first; if they never do, when they are put forward over it."""
    moment = wall.replace(tzinfo=place).astimezone(UTC)
    if _wall(moment, place) == wall:
        return moment
    before = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    changed = _first_change(before, moment, place)
    return moment if changed is None else changed


def _first_change(start: datetime, end: datetime, place: tzinfo) -> datetime | None:
    """The first moment after `start`, up to `end`, since when clocks are another distance from UTC."""
    offset = _offset(start, place)
    while start < end:
        day = min(start + _DAY, end)
        if _offset(day, place) != offset:
            while day - start > _SECOND:
                middle = start + (day - start) / 2
                start, day = (start, middle) if _offset(middle, place) != offset else (middle, day)
            return day.replace(microsecond=0)
        start = day
    return None


def _wall(moment: datetime, place: tzinfo) -> datetime:
    return moment.astimezone(place).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, place: tzinfo) -> timedelta:
    return moment.astimezone(place).utcoffset() or timedelta(0)
