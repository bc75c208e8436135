"""Logs as files: what is filtered, what one may see, nothing that a spreadsheet would run, and not all at once."""

import codecs
import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.core import append_only
from governance.history.admin import exports
from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.promptops.admin.browser import Browser

Browse = Callable[..., Browser]
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "  =1+1",
    "\u00a0\t=1+1",
    "\uff1d1+1",
    '=HYPERLINK("http://x","y")',
]
HARMLESS = ["plain", "a=b", "1 - 1", "", "<script>alert(1)</script>", 'with "quotes", commas\nand lines', "it's"]


def entry(**fields: Any) -> AuditEntry:
    given = {"action": "update", "resource": "prompt", "resource_id": "x", "actor": "ada", "summary": "Changed"}
    return AuditEntry.objects.create(**{**given, "workspace_id": "default", **fields})


def empty_the_audit_log() -> None:
    with append_only.lifted():
        AuditEntry.objects.all().delete()


def export(browser: Browser, kind: str, log: str = "auditentry", **query: str) -> Any:
    answer = browser.client.get(f"/admin/governance/{log}/export/{kind}/", query)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert answer.headers["Content-Disposition"].endswith(f'.{kind}"')
    content = b"".join(answer)
    assert content.startswith(codecs.BOM_UTF8) is (kind == "csv"), "by it spreadsheets know UTF-8"
    text = content.decode("utf-8-sig" if kind == "csv" else "utf-8")
    return json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("value", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(
    workspace: Workspace, browse: Browse, value: str
) -> None:
    empty_the_audit_log()
    names = ("action", "resource", "key", "summary", "actor", "request_id")
    entry(**dict.fromkeys(names, value[:40]))
    [row] = [row for row in export(browse(Role.VIEWER), "csv") if row["actor"] != "system"]
    assert {row[name] for name in names} == {f"'{value[:40]}"}


def test_any_other_cell_is_as_it_is_and_json_changes_none(workspace: Workspace, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    empty_the_audit_log()
    for value in (*HARMLESS, *FORMULAS):
        entry(key=value, changes={"name": {"old": None, "new": value}})
    cells = [row["key"] for row in reversed(export(browser, "csv"))]
    assert cells == [*HARMLESS, *(f"'{value}" for value in FORMULAS)]
    rows = list(reversed(export(browser, "json")))
    assert [row["key"] for row in rows] == [*HARMLESS, *FORMULAS]
    assert rows[0]["changes"] == {"name": {"old": None, "new": "plain"}}
    assert json.loads(export(browser, "csv")[-1]["changes"]) == rows[0]["changes"]


def test_numbers_are_numbers_and_times_are_as_the_api_has_them(workspace: Workspace, browse: Browse) -> None:
    run = Run.objects.create(
        workspace_id="default",
        source="agent",
        ref_key="=1",
        latency_ms=7,
        cost_usd="0.00000012",
        status="ok",
        actor="a",
    )
    [row] = export(browse(Role.VIEWER), "csv", "run")
    assert (row["latency_ms"], float(row["cost_usd"]), row["ref_key"], row["prompt_tokens"]) == ("7", 1.2e-7, "'=1", "")
    [row] = export(browse(Role.VIEWER), "json", "run")
    assert (row["latency_ms"], row["cost_usd"], row["ref_key"], row["prompt_tokens"]) == (7, 1.2e-7, "=1", None)
    assert row["created_at"] == run.created_at.isoformat().replace("+00:00", "Z")


def test_a_file_has_what_the_filters_leave_newest_first_each_once_whatever_the_batches(
    workspace: Workspace, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 7)
    browser = browse(Role.VIEWER)
    empty_the_audit_log()
    entries = [entry(key="a" if number % 2 else "b", summary=str(number)) for number in range(50)]
    moment = timezone.now() - timedelta(days=1)
    with append_only.lifted():  # all at one moment
        AuditEntry.objects.filter(pk__in=[each.pk for each in entries[:30]]).update(created_at=moment)
    expected = [str(each.pk) for each in AuditEntry.objects.filter(key="a").order_by("-created_at", "-id")]
    for kind in ("csv", "json"):
        assert [row["id"] for row in export(browser, kind, key="a")] == expected
    assert len(export(browser, "json", window="hour")) == 20
    assert export(browser, "json", key="nothing") == []
    assert export(browser, "csv", key="nothing") == []
    assert export(browser, "json", since="soon") == []  # what can't be read leaves nothing


def test_no_batch_is_read_before_the_one_ahead_of_it_was_sent(workspace: Workspace, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    AuditEntry.objects.bulk_create(
        AuditEntry(action="update", resource="x", resource_id="x", actor="a", workspace_id="default", summary="s")
        for _ in range(2 * exports.AT_ONCE + 1)
    )
    answer = browser.client.get("/admin/governance/auditentry/export/json/")
    with CaptureQueriesContext(connection) as captured:
        rows = json.loads(b"".join(answer))
    assert len(rows) > 2 * exports.AT_ONCE
    assert [query["sql"].count("LIMIT 1000") for query in captured] == [1, 1, 1]


def test_there_is_no_file_of_another_kind(workspace: Workspace, browse: Browse) -> None:
    assert browse(Role.VIEWER).client.get("/admin/governance/run/export/xlsx/").status_code == 404
