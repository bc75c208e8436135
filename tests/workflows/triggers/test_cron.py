"""When a cron expression comes true, also on the days when clocks are changed."""

import zoneinfo
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.core.errors import InvalidInputError
from workflows.triggers.cron import next_tick

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
#: Clocks that are put back by an hour at night, by half an hour, at midnight, and never; one that skipped a day.
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca"),
    *("Asia/Beirut", "Atlantic/Azores", "Pacific/Apia", "Antarctica/Troll", "Asia/Kolkata", "UTC"),
)
moments = st.datetimes(datetime(2005, 1, 1), datetime(2037, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
minutes = st.sampled_from(["0", "30", "*/15", "7,37", "59"])
few = settings(deadline=None, max_examples=30)


def ticks(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    found = []
    while (after := next_tick(cron, zone, after)) <= until:
        found.append(after)
    return found


def walls(found: list[datetime], zone: str) -> list[str]:
    return [f"{moment.astimezone(zoneinfo.ZoneInfo(zone)):%d %H:%M%z}" for moment in found]


def test_a_daily_schedule_runs_once_on_a_day_with_two_half_past_twos() -> None:
    found = ticks("30 2 * * *", "Europe/Berlin", datetime(2027, 10, 30, tzinfo=UTC), datetime(2027, 11, 2, tzinfo=UTC))
    assert walls(found, "Europe/Berlin") == ["30 02:30+0200", "31 02:30+0200", "01 02:30+0100"]
    between = datetime(2027, 10, 31, 1, 5, tzinfo=UTC)  # a schedule that is made when it is ten past two once more
    assert next_tick("30 2 * * *", "Europe/Berlin", between) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC)


def test_a_schedule_of_the_hour_that_is_skipped_runs_when_clocks_are_put_forward() -> None:
    day = datetime(2027, 3, 28, tzinfo=UTC)
    for cron in ("30 2 * * *", "*/10 2 * * *", "0,30 2,3 28 * *"):
        found = ticks(cron, "Europe/Berlin", day, day + timedelta(hours=1, minutes=20))
        assert walls(found, "Europe/Berlin") == ["28 03:00+0200"]


@pytest.mark.parametrize("cron", ["*/30 * * * *", "*/30 0-23 * * *"])
def test_a_schedule_of_every_hour_goes_on_through_both_hours_that_look_alike(cron: str) -> None:
    found = ticks(
        cron, "Europe/Berlin", datetime(2027, 10, 30, 23, 30, tzinfo=UTC), datetime(2027, 10, 31, 2, tzinfo=UTC)
    )
    assert walls(found, "Europe/Berlin") == [
        *("31 02:00+0200", "31 02:30+0200", "31 02:00+0100", "31 02:30+0100", "31 03:00+0100"),
    ]


@few
@given(zone=st.sampled_from(ZONES), after=moments, minute=minutes, hours=st.sampled_from(["2", "0", "1-3", "23,0"]))
def test_times_of_day_come_true_once_for_each_time_on_the_wall(
    zone: str, after: datetime, minute: str, hours: str
) -> None:
    cron, place = f"{minute} {hours} * * *", zoneinfo.ZoneInfo(zone)
    found = ticks(cron, zone, after, after + 3 * DAY)
    assert found == sorted(set(found))
    shown = Counter(moment.astimezone(place).replace(tzinfo=None, fold=0) for moment in found)
    wall, last = (edge.astimezone(place).replace(tzinfo=None, fold=0) for edge in (after, after + 3 * DAY))
    wall, last = wall + timedelta(hours=2), last - timedelta(hours=2)  # what is near an edge may be beyond it
    times = croniter(cron, wall)
    while (wall := times.get_next(datetime)) < last:
        there = wall.replace(tzinfo=place).astimezone(UTC).astimezone(place).replace(tzinfo=None, fold=0) == wall
        if there:
            assert shown[wall] == 1


@few
@given(zone=st.sampled_from(ZONES), after=moments, minute=minutes)
def test_a_rhythm_comes_true_at_each_moment_whose_time_fits(zone: str, after: datetime, minute: str) -> None:
    cron, place = f"{minute} * * * *", zoneinfo.ZoneInfo(zone)
    until = after + timedelta(hours=30)
    expected = set(croniter(cron, after).expanded[0])
    first = after.replace(second=0, microsecond=0) + MINUTE
    every = [first + count * MINUTE for count in range(30 * 60)]
    fitting = [m for m in every if "*" in expected or m.astimezone(place).minute in expected]
    assert ticks(cron, zone, after, until) == [moment for moment in fitting if moment <= until]


@few
@given(
    zone=st.sampled_from(sorted(zoneinfo.available_timezones())),
    after=moments,
    cron=st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 0 1 * *", "15 */5 * * 1-5", "0 3 29 2 *"]),
)
def test_each_tick_is_after_the_one_before_in_every_zone(zone: str, after: datetime, cron: str) -> None:
    for _ in range(3):
        following = next_tick(cron, zone, after)
        assert following > after
        after = following


@pytest.mark.parametrize("cron", ["R R * * *", "H 2 * * *", "R(0-30) * * * *", "0 0 31 2 *", "0," * 60 + "0 * * * *"])
def test_what_is_drawn_by_lot_never_comes_true_or_is_too_long_is_refused(cron: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        next_tick(cron, "UTC", datetime(2027, 1, 1, tzinfo=UTC))
    assert list(refused.value.fields or {}) == ["cron"]
