"""Runs, charts, audit and live clients in the back office: what they show, to whom, and at what cost."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.clients.models import Connection
from governance.runs import log as runs
from governance.runs.models import Run, RunFeedback
from governance.tenancy import workspaces
from governance.tenancy.models import Workspace
from prompts.models import Prompt
from tests.promptops.admin.browser import Browser, url
from tests.promptops.admin.conftest import World
from tests.promptops.admin.world import HOSTILE

Browse = Callable[..., Browser]
STATS, DATA = "/admin/governance/run/stats/", "/admin/governance/run/stats/data/"
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
LIVE = "/admin/governance/connection/live/"


def log(workspace_id: str = "default", *, error: str = "", **fields: Any) -> Run:
    """A run that has ended."""
    opened = runs.start(actor=SYSTEM, workspace_id=workspace_id, **{"source": "agent", "provider": "mock", **fields})
    if error:
        runs.fail(opened, error)
    else:
        runs.finish(opened, provider="mock", model="mock-1", prompt_tokens=3, output_tokens=4)
    return Run.objects.get(pk=opened.id)


def listed(page: Any) -> list[str]:
    return [row.ref_key for row in page.response.context["cl"].result_list]


# --- runs ---------------------------------------------------------------------------------------------------------


def test_runs_are_found_by_each_filter_and_by_several(workspace: Workspace, browse: Browse) -> None:
    room = workspaces.create_workspace(actor=SYSTEM, name="Room")
    log(ref_key="a", environment="prod", version="v1")
    log(ref_key="b", environment="dev", source="playground", error="no")
    log(ref_key="c", workspace_id=room.pk, provider="other", error="no")
    known = log(ref_key="d")
    runs.start(actor=SYSTEM, workspace_id="default", source="workflow", ref_key="e", model="slow")
    browser = browse(Role.ADMIN)
    for query, expected in (
        ({}, "edcba"),
        ({"key": "a"}, "a"),
        ({"key": str(known.pk)}, "d"),
        ({"key": str(uuid.uuid4())}, ""),
        ({"environment": "prod"}, "a"),
        ({"version": "v1"}, "a"),
        ({"source": "playground"}, "b"),
        ({"provider": "other"}, "c"),
        ({"model": "mock-1"}, "da"),
        ({"model": "slow"}, "e"),
        ({"status": "error"}, "cb"),
        ({"status": "running"}, "e"),
        ({"workspace": room.pk, "status": "error"}, "c"),
        ({"window": "hour", "status": "ok"}, "da"),
        ({"since": "2000-01-01T00:00", "until": "2000-01-02T00:00"}, ""),
        ({"since": "1066-01-01T00:00"}, "edcba"),
        ({"provider": "nowhere"}, ""),
    ):
        found = browser.open(url(Run, "changelist") + "?" + urlencode(query))
        assert "".join(listed(found)) == expected, query


@pytest.mark.parametrize(
    "query", [{"since": "soon"}, {"status": "fine"}, {"workspace": "nowhere"}, {"window": "x"}, {"key": "x" * 300}]
)
@pytest.mark.parametrize("page", ["list", "stats"])
def test_a_filter_that_cannot_be_read_is_marked_and_nothing_is_listed(
    world: World, browse: Browse, page: str, query: dict[str, str]
) -> None:
    shown = browse().list_page(Run, **query) if page == "list" else browse().open(STATS, **query)
    form = shown.response.context["form"] if page == "stats" else shown.response.context["cl"].form
    if page == "stats" and "status" in query:
        return  # charts have no such filter
    assert (shown.status, list(form.errors)) == (200, list(query))
    assert "correct what is marked" in shown.text
    assert HOSTILE not in shown.text
    if page == "list":
        assert listed(shown) == []


def test_the_list_of_runs_is_paged_without_counting_them_and_says_how_many_there_are(
    workspace: Workspace, browse: Browse
) -> None:
    for number in range(120):
        log(ref_key=f"run-{number}", error="no" if number % 2 else "")
    browser = browse(Role.VIEWER)
    last = browser.list_page(Run, p="3")
    assert listed(last) == [f"run-{number}" for number in range(19, -1, -1)]
    assert "120 runs" in last.text
    assert listed(browser.list_page(Run, status="error", p="2"))[-1] == "run-1"
    assert browser.list_page(Run, p="4").status == 302
    with CaptureQueriesContext(connection) as captured:
        browser.list_page(Run, p="2")
    assert not [query["sql"] for query in captured if "COUNT(*)" in query["sql"] and "governance_run" in query["sql"]]


def test_lists_and_charts_ask_the_database_as_often_however_much_there_is(workspace: Workspace, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    runs_url, audit_url = url(Run, "changelist"), url(AuditEntry, "changelist")
    asked = [
        *(
            runs_url + query
            for query in ("", "?p=2", "?status=error", "?provider=mock&version=v1", "?window=week&status=ok")
        ),
        *(STATS + query for query in ("", "?by=key", "?by=model&provider=mock")),
        *(audit_url + query for query in ("", "?window=week", "?actor=system")),
    ]

    def look() -> dict[str, int]:
        queries = {}
        for path in asked:
            with CaptureQueriesContext(connection) as captured:
                assert browser.open(path).status == 200
            queries[path] = len(captured)
        return queries

    def fill(number: int) -> None:
        for place in range(number):
            log(ref_key=f"run-{place}", version=f"v{place % 3}", error="no" if place % 3 else "")
            workspaces.update_workspace(actor=SYSTEM, workspace=workspace, name=f"Room {number} {place}")

    fill(60)
    few = look()
    fill(120)
    assert look() == few
    assert max(few.values()) <= 12


def test_a_run_has_a_page_with_texts_figures_error_and_what_it_was_of(world: World, browse: Browse) -> None:
    prompt: Any = world[Prompt]
    opened = runs.start(
        actor=SYSTEM,
        workspace_id="default",
        source="playground",
        ref_id=prompt.pk,
        ref_key="greeting",
        prompt_id=prompt.pk,
    )
    runs.fail(opened, f"{HOSTILE} went wrong", prompt=f"{HOSTILE}\n  sent", output="made", prompt_tokens=1234)
    page = browse(Role.VIEWER).open(f"/admin/governance/run/{opened.id}/change/")
    for expected in (
        "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; went wrong",
        "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;\n  sent</pre>",
        ">made</pre>",
        "1,234",
        f'href="{url(prompt, "change")}"',
    ):
        assert expected in page.text
    assert "<script>alert" not in page.text


def test_a_run_shows_the_tree_that_it_is_in_and_none_of_other_workspaces(
    workspace: Workspace, other_workspace: Workspace, browse: Browse
) -> None:
    root = log(ref_key="root", source="workflow")
    child = log(ref_key="child", parent_id=root.pk)
    log(ref_key="grandchild", parent_id=child.pk)
    log(ref_key="sibling", parent_id=root.pk, error="no")
    log(ref_key="foreign", workspace_id=other_workspace.pk, parent_id=root.pk)
    browser = browse(Role.VIEWER)
    for run in (root, child):
        trace = browser.change_page(run).response.context["trace"]
        shown = [(step["node"].run.ref_key, step["node"].depth) for step in trace]
        assert shown == [("root", 0), ("child", 1), ("grandchild", 2), ("sibling", 1)]
    assert browser.change_page(log(ref_key="alone")).response.context["trace"] == []


def test_runs_that_name_each_other_in_a_circle_are_a_tree_all_the_same(workspace: Workspace, browse: Browse) -> None:
    one = log(ref_key="one")
    two = log(ref_key="two", parent_id=one.pk)
    Run.objects.filter(pk=one.pk).update(parent_id=two.pk)
    assert browse().change_page(Run.objects.get(pk=one.pk)).status == 200


def test_a_viewer_says_what_a_run_was_worth_and_changes_their_mind(workspace: Workspace, browse: Browse) -> None:
    run, browser = log(ref_key="a"), browse(Role.VIEWER)
    page = browser.change_page(run)
    address = f"/admin/governance/run/{run.pk}/feedback/"
    assert f'action="{address}"' in page.text
    for score, comment in (("1", HOSTILE), ("-1", "no, it was bad")):
        sent = browser.post(address, {"score": score, "comment": comment})
        assert (sent.status, sent.messages) == (302, ["Your feedback is noted."])
        assert escape(comment) in browser.change_page(run).text
    assert list(RunFeedback.objects.values_list("score", "comment")) == [(-1.0, "no, it was bad")]
    for wrong in ({}, {"score": "7"}, {"score": "nan"}, {"score": "x"}, {"score": "1", "comment": "x" * 2001}):
        assert browser.post(address, wrong).messages[0].split(":")[0] in {"score", "comment"}
    assert RunFeedback.objects.count() == 1


# --- charts -------------------------------------------------------------------------------------------------------


def test_charts_have_the_figures_of_the_log_as_json_and_as_tables(workspace: Workspace, browse: Browse) -> None:
    for number in range(9):
        log(ref_key=f"key-{number % 3}", error="no" if number == 0 else "")
    browser = browse(Role.VIEWER)
    answer = browser.open(DATA, by="key", window="day").response.json()
    assert (answer["interval"], answer["groups"]) == ("hour", ["key-0", "key-1", "key-2"])
    charts = {chart["name"]: chart["values"] for chart in answer["charts"]}
    assert {len(values) for lines in charts.values() for values in lines} == {len(answer["starts"])} == {25}
    assert [sum(values) for values in charts["count"]] == [3, 3, 3]
    assert [sum(values) for values in charts["error"]] == [1, 0, 0]
    assert [sum(values) for values in charts["tokens"]] == [14, 21, 21]
    assert all(values[-1] is not None and values[0] is None for values in charts["p95_latency_ms"])
    assert [sum(chart["values"][0]) for chart in browser.open(DATA).response.json()["charts"][:3]] == [9, 1, 56]
    page = browser.open(STATS, by="key", window="day").response.context
    assert [(total["name"], total["figures"][:3]) for total in page["totals"]] == [
        ("key-0", ["3", "1", "14"]),
        ("key-1", ["3", "0", "21"]),
        ("key-2", ["3", "0", "21"]),
    ]
    assert [len(each["rows"]) for each in page["charts"]] == [1] * 6


def test_of_many_values_the_most_frequent_are_drawn_and_the_rest_is_one_group(
    workspace: Workspace, browse: Browse
) -> None:
    for number in range(9):
        for _ in range(10 - number):
            log(ref_key=f"key-{number}" if number else "")
    groups = browse().open(DATA, by="key").response.json()["groups"]
    assert groups == ["(none)", *(f"key-{number}" for number in range(1, 6)), "all others"]


def test_figures_by_a_filter_that_cannot_be_read_are_refused_with_the_field(
    workspace: Workspace, browse: Browse
) -> None:
    answer = browse().open(DATA, since="soon", by="weather").response
    assert (answer.status_code, answer.json()["fields"].keys()) == (400, {"since", "by"})


# --- other people's workspaces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_no_page_of_observation_tells_of_another_workspace(
    world: World, hidden: World, browse: Browse, role: Role
) -> None:
    room: Any = hidden[Workspace]
    log(ref_key="secret-xyzzy", workspace_id=room.pk, provider="provider-xyzzy", version="v-xyzzy")
    browser = browse(role)
    runs_url, audit_url = url(Run, "changelist"), url(AuditEntry, "changelist")
    asked: list[tuple[str, dict[str, str]]] = [
        (runs_url, {}),
        (runs_url, {"key": "secret"}),
        (f"{runs_url}export/csv/", {}),
        (f"{runs_url}export/json/", {}),
        (STATS, {"by": "key"}),
        (STATS, {"by": "provider", "window": ""}),
        (DATA, {"by": "key"}),
        (audit_url, {}),
        (audit_url, {"resource": "prompt"}),
        (f"{audit_url}export/csv/", {}),
        (f"{audit_url}export/json/", {}),
        (url(Connection, "changelist"), {}),
        (LIVE, {}),
        ("/admin/playground/", {}),
        ("/admin/playground/prompts/", {}),
    ]
    for path, query in asked:
        response = browser.client.get(path, query)
        content = b"".join(response).decode() if response.streaming else response.content.decode()
        assert response.status_code == 200, path
        assert "xyzzy" not in content, (path, query)
        seen = browse(Role.ADMIN).client.get(path, query)
        content = b"".join(seen).decode() if seen.streaming else seen.content.decode()
        assert "xyzzy" in content or query == {"key": "secret"}, (path, query)
    for path in (runs_url, STATS, audit_url):
        assert "xyzzy" not in browser.open(path, workspace=room.pk).text.replace(f'value="{room.pk}"', "")
    run: Any = hidden[Run]
    assert browser.post(f"/admin/governance/run/{run.pk}/feedback/", {"score": "1"}).status in {302, 403}
    assert RunFeedback.objects.filter(run=run).exclude(actor="system").count() == 0


@pytest.mark.parametrize(
    "typed",
    [
        HOSTILE,
        "</textarea><b>x",
        "</script><b>x",
        "javascript:alert(1)",
        '"onmouseover="alert(1)',
        "{{ x }}{% y %}",
        "=1+1",
    ],
)
def test_what_somebody_typed_is_text_on_every_page_of_observation(
    workspace: Workspace, browse: Browse, typed: str
) -> None:
    run = log(ref_key=typed, provider=typed[:50], model=typed, version=typed[:64], environment=typed[:50], error=typed)
    runs.rate(run=run, actor=SYSTEM, score=1, comment=typed)
    entry = AuditEntry.objects.create(
        **dict.fromkeys(("action", "resource", "resource_id", "key", "actor", "summary", "request_id"), typed[:36]),
        workspace_id="default",
        changes={typed: {"old": typed, "new": f"{typed}\n{typed}"}, "b": {"old": None, "new": {typed: typed}}},
    )
    browser, runs_url, audit_url = browse(Role.VIEWER), url(Run, "changelist"), url(AuditEntry, "changelist")
    shown = [
        browser.open(runs_url),
        browser.open(runs_url, key=typed, model=typed, version=typed[:64]),
        browser.open(f"{runs_url}?{urlencode({typed: typed})}"),
        browser.change_page(run),
        browser.open(STATS, by="key"),
        browser.open(STATS, by=typed),
        browser.open(STATS, key=typed, since=typed),
        browser.open(audit_url),
        browser.open(audit_url, key=typed[:36], actor=typed),
        browser.change_page(entry),
        browser.open("/admin/playground/", prompt=typed, version=typed),
    ]
    assert [page.status for page in shown] == [200, 200, 302, *[200] * 8]
    for page in shown:
        assert not re.search(r'href="\s*javascript:|onmouseover="|</textarea><b>|</script><b>|<script>alert', page.text)
    assert sum(escape(typed) in page.text for page in shown) >= 7
    figures = browser.open(DATA, by="key").response
    assert (figures.headers["Content-Type"], figures.json()["groups"]) == ("application/json", [typed])


def test_who_is_not_logged_in_gets_no_page_no_figures_and_no_file(world: World) -> None:
    for path in (STATS, DATA, LIVE, "/admin/governance/run/export/csv/", "/admin/governance/auditentry/export/json/"):
        answer = Browser().client.get(path)
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/admin/login/"), path


# --- live clients -------------------------------------------------------------------------------------------------


def test_live_clients_are_the_rows_of_the_list_as_json(world: World, browse: Browse) -> None:
    browser, client = browse(Role.VIEWER), world[Connection]
    answer = browser.open(LIVE).response.json()
    assert (answer["count"], [row["id"] for row in answer["clients"]]) == (1, [str(client.pk)])
    assert answer["clients"][0]["app"] == HOSTILE  # the script puts it on the page as text
    assert browser.open(LIVE, q="nobody").response.json() == {"count": 0, "clients": []}
    Connection.objects.all().delete()
    assert browser.open(LIVE).response.json()["clients"] == []


def test_an_audit_entry_shows_short_values_beside_each_other_and_objects_as_lines(
    workspace: Workspace, browse: Browse
) -> None:
    entry = AuditEntry.objects.create(
        action="update",
        resource="prompt",
        resource_id="x",
        actor="ada",
        workspace_id="default",
        summary="Changed",
        changes={
            "model": {"old": "a", "new": HOSTILE},
            "config": {"old": {"a": 1}, "new": {"a": 2, "b": HOSTILE}},
            "odd": 7,
        },
    )
    text = browse(Role.VIEWER).change_page(entry).text
    assert "<del>a</del>" in text
    assert "<ins>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;</ins>" in text
    assert "  &quot;a&quot;: <del>1</del>" in text
    assert "<script>alert" not in text
    assert json.dumps(entry.changes)  # it was not touched


def test_the_lists_of_logs_take_no_order_and_no_filter_but_their_own(world: World, browse: Browse) -> None:
    browser = browse()
    for model in (Run, AuditEntry):
        first = [row.pk for row in browser.list_page(model).response.context["cl"].result_list]
        assert [row.pk for row in browser.list_page(model, o="-3").response.context["cl"].result_list] == first
        assert browser.list_page(model, actor__startswith="s").status in {302, 400}
        assert reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_export", args=["csv"])
