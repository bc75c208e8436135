"""Long logs: totals and deep pages come from counts of the hours that are over, and are what a count would say."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.history import counts
from governance.history.models import LogCount
from governance.runs.models import Run
from governance.tenancy.models import Workspace

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def moments(workspace: Workspace, other_workspace: Workspace) -> list[datetime]:
    """Three hundred runs in two workspaces over three days; many of one moment, whole hours among them."""
    draw = random.Random(3)
    rows = []
    for number in range(300):
        at = NOW - timedelta(seconds=draw.choice([0, 3600, 7200, draw.randrange(60), draw.randrange(260_000)]))
        at = at.replace(minute=0, second=0) if number % 7 == 0 else at
        room = draw.choice([workspace.pk, other_workspace.pk])
        rows.append((at, Run(workspace_id=room, source="agent", actor="a", ref_key=f"k{number % 2}", status="ok")))
    made = Run.objects.bulk_create([row for _, row in rows])
    for (at, _), row in zip(rows, made, strict=True):
        Run.objects.filter(pk=row.pk).update(created_at=at)
    return sorted(at for at, _ in rows)


def listed(client: APIClient, **query: Any) -> tuple[int, list[str]]:
    body = client.get("/api/runs", query).json()
    return body["total"], [row["id"] for row in body["data"]]


def truth(**query: Any) -> list[str]:
    rows = Run.objects.order_by("-created_at", "-id")
    for name, lookup in (("since", "created_at__gte"), ("until", "created_at__lt"), ("workspace", "workspace_id")):
        if name in query:
            rows = rows.filter(**{lookup: query[name]})
    return [str(pk) for pk in rows.values_list("pk", flat=True)]


@pytest.mark.parametrize("counted", [False, True], ids=["nobody has counted", "past hours are counted"])
def test_every_page_and_total_is_what_a_count_would_say(
    counted: bool, static: APIClient, viewer: APIClient, moments: list[datetime], workspace: Workspace
) -> None:
    if counted:
        with time_machine.travel(NOW, tick=False):
            counts.count()
        assert LogCount.objects.filter(log="runs").count() > 50
    windows: list[dict[str, Any]] = [{}]
    for since, until in ((30, 200), (0, 299), (250, 290), (100, 101)):
        a, b = moments[since], moments[until]
        windows += [{"since": f"{a:%Y-%m-%dT%H:%M:%SZ}"}, {"until": f"{b:%Y-%m-%dT%H:%M:%SZ}"}]
        windows.append({**windows[-2], **windows[-1]})
    windows += [{"since": "2026-03-01T11:00:00Z", "until": "2026-03-01T12:00:00Z"}, {"until": "2026-02-28T00:00:00Z"}]
    for window in windows:
        for place in ({}, {"workspace": workspace.pk}):
            expected = truth(**window, **place)
            for offset in (0, 1, len(expected) // 2, max(0, len(expected) - 3), len(expected), 10_000):
                page = expected[offset : offset + 50]
                assert listed(static, **window, **place, offset=offset) == (len(expected), page), (window, offset)
    assert listed(viewer)[0] == len(truth(workspace=workspace.pk)), "nobody's page is shifted by what they cannot see"


def test_a_filter_that_no_count_knows_is_counted_as_usual(static: APIClient, moments: list[datetime]) -> None:
    with time_machine.travel(NOW, tick=False):
        counts.count()
    assert listed(static, key="k0", offset=149) == (150, [listed(static, key="k0", limit=200)[1][149]])


def test_hours_are_counted_once_and_the_last_minutes_not_yet(static: APIClient, moments: list[datetime]) -> None:
    for minutes in (0, 0, 5, 70):
        with time_machine.travel(NOW + timedelta(minutes=minutes), tick=False):
            counts.count()
        assert listed(static)[0] == 300
    assert sum(LogCount.objects.filter(log="runs").values_list("count", flat=True)) == 300


def test_the_audit_log_counts_what_concerns_all_workspaces_for_those_who_see_all(
    static: APIClient, editor: APIClient, workspace: Workspace
) -> None:
    with time_machine.travel(NOW - timedelta(days=1), tick=False):
        for place in (workspace.pk, None, None):
            AuditEntry.objects.create(action="x", resource="y", resource_id="z", actor="a", workspace_id=place)
    before = [client.get("/api/audit").json()["total"] for client in (static, editor)]
    with time_machine.travel(NOW, tick=False):
        counts.count()
    assert [client.get("/api/audit").json()["total"] for client in (static, editor)] == before
    assert before[0] >= before[1] + 2


def test_a_page_costs_as_many_queries_in_three_hundred_rows_as_in_none(
    static: APIClient, workspace: Workspace, moments: list[datetime]
) -> None:
    def queries(**query: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            static.get("/api/runs", query)
        return len(captured)

    assert queries() == queries(offset=290) <= 3
