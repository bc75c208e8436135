"""Pages of the run log by the tallies: what a plain query would say, without reading the log."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.paginator import Paginator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.access.actors import SYSTEM
from governance.runs import log as runs
from governance.runs.models import Run, RunTally
from governance.runs.pages import RunPages
from governance.tenancy.models import Workspace

NOW = datetime(2026, 2, 27, 22, 15, tzinfo=UTC)
CHOICES: dict[str, list[str]] = {"source": ["agent", "playground"], "provider": ["mock", "rare"], "version": ["", "v1"]}


@pytest.fixture
def log(workspace: Workspace) -> None:
    """A hundred and fifty runs of every kind over four days around the end of a month, many of them at one moment."""
    draw = random.Random(11)
    for number in range(150):
        moment = NOW + timedelta(minutes=37 * min(number, 120) + draw.choice([0, 0, 900]))
        with time_machine.travel(moment, tick=False):
            run = runs.start(
                actor=SYSTEM,
                workspace_id="default",
                source=draw.choice(CHOICES["source"]),
                provider=draw.choices(CHOICES["provider"], [30, 1])[0],
                version=draw.choice(CHOICES["version"]),
            )
            end = draw.choice(["ok", "ok", "error", "interrupted", "running"])
            if end == "ok":
                runs.finish(run, provider="mock", model="m", prompt_tokens=1, output_tokens=1)
            elif end == "error":
                runs.fail(run, "no")
            elif end == "interrupted":
                runs.interrupt({run.id})


def pages(filters: dict[str, Any], **window: Any) -> Any:
    return RunPages(Run.objects.filter(**filters), RunTally.objects.filter(**filters), **window)


def plain(filters: dict[str, Any], *, status: str = "", since: Any = None, until: Any = None) -> list[Run]:
    rows = Run.objects.filter(**filters, **({"status": status} if status else {}))
    rows = rows.filter(created_at__gte=since) if since else rows
    return list((rows.filter(created_at__lt=until) if until else rows).order_by("-created_at", "-id"))


WINDOWS: list[dict[str, Any]] = [
    {},
    {"since": datetime(2026, 2, 28, 7, tzinfo=UTC)},
    {"until": datetime(2026, 3, 1, 5, tzinfo=UTC)},
    {"since": datetime(2026, 2, 28, 7, tzinfo=UTC), "until": datetime(2026, 2, 28, 19, tzinfo=UTC)},
    {"since": datetime(2026, 2, 27, 23, tzinfo=UTC), "until": datetime(2026, 3, 1, 1, tzinfo=UTC)},
    {"since": datetime(2026, 3, 1, tzinfo=UTC), "until": datetime(2026, 3, 1, tzinfo=UTC)},
]
FILTERS: list[dict[str, Any]] = [{}, {"source": "agent"}, {"provider": "rare"}, {"source": "agent", "version": "v1"}]


def test_every_page_has_the_rows_that_a_plain_query_has_there(log: None) -> None:
    with time_machine.travel(NOW + timedelta(days=6), tick=False):
        for filters, window, status in itertools.product(
            FILTERS, WINDOWS, ["", "ok", "error", "interrupted", "running"]
        ):
            expected = plain(filters, status=status, **window)
            for size in (1, 7, 1000):
                book: Any = Paginator(pages(filters, status=status, **window), size)
                assert book.count == len(expected), (filters, window, status)
                numbers = {1, 2, book.num_pages // 2, book.num_pages} if size == 1 else {*book.page_range}
                for number in numbers & {*book.page_range}:
                    shown = list(book.page(number).object_list)
                    there = expected[(number - 1) * size : number * size]
                    assert [run.pk for run in shown] == [run.pk for run in there], (filters, window, status, number)


def test_a_page_costs_as_many_queries_wherever_it_is(log: None) -> None:
    def queries(number: int, **filters: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            Paginator(pages(filters), 10).page(number)
        return len(captured)

    with time_machine.travel(NOW + timedelta(days=6), tick=False):
        assert {queries(1), queries(7), queries(15), queries(1, provider="rare")} == {5}


def test_of_the_log_no_hours_are_read_but_those_that_hold_the_page(log: None) -> None:
    for hours in (0, 1, 30, 70):  # two of them side by side
        with time_machine.travel(NOW + timedelta(hours=hours), tick=False):
            needle = runs.start(actor=SYSTEM, workspace_id="default", source="agent", provider="needle")
            runs.fail(needle, "no")
    with time_machine.travel(NOW + timedelta(days=6), tick=False), CaptureQueriesContext(connection) as captured:
        assert len(Paginator(pages({"provider": "needle"}), 50).page(1).object_list) == 4
    read = captured[-1]["sql"]
    assert (read.count("UNION ALL"), read.count('"created_at" >= '), read.count('"created_at" < ')) == (2, 3, 3)
    for begin, end in ((22, 0), (4, 5), (20, 21)):
        assert f" {begin:02}:00:00" in read
        assert f" {end:02}:00:00" in read
