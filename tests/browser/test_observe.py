"""Runs, charts, audit, live clients and tokens, as people see them."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from websockets.sync.client import connect

from tests.browser.support import PHONE, Person, axe, key, make_prompt
from tests.servers import Server

SitDown = Callable[..., Page]
HOSTILE = "<script>window.hit=1</script></textarea></script><img src=x onerror=window.hit=1>"


@pytest.fixture(scope="module")
def ran(server: Server) -> dict[str, Any]:
    """A prompt that ran well twice and failed once, with its texts kept."""
    prompt = make_prompt(server, "Hello {{name}}", "Hello {{name}}!")
    with server.client() as client:
        client.put("/api/workspaces/default", json={"keep_content": True})
        body = {"id": prompt["id"], "variables": {"name": HOSTILE}}
        done = [
            client.post("/api/playground/run", json={**body, "model": model}) for model in ("one", "two", "mock-fail")
        ]
    assert [answer.status_code for answer in done] == [200, 200, 502]
    return {**prompt, "run": done[0].json()["run_id"]}


@pytest.mark.both_databases
def test_a_run_is_found_by_filters_and_its_page_has_texts_figures_and_feedback(
    sit_down: SitDown, ran: dict[str, Any]
) -> None:
    page = sit_down("viewer")
    page.goto("/admin/governance/run/")
    page.get_by_label("Key, or a run's id").fill(ran["key"])
    page.get_by_label("Status").select_option("ok")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.locator("#result_list tbody th a").last.click()
    expect(page.get_by_role("region", name="Rendered prompt").locator("pre")).to_have_text(f"Hello {HOSTILE}!")
    expect(page.get_by_role("region", name="Output").locator("pre")).to_contain_text("mock completion")
    expect(page.get_by_role("link", name=f"Open prompt {ran['key']}")).to_be_visible()
    axe(page)
    page.get_by_label("Good").check()
    page.get_by_label("Comment").fill(HOSTILE)
    page.get_by_role("button", name="Give feedback").click()
    expect(page.get_by_text("Your feedback is noted.")).to_be_visible()
    expect(page.locator(".feedback pre")).to_have_text(HOSTILE)
    assert page.evaluate("window.hit") is None


def test_charts_are_drawn_with_a_table_under_each_and_again_in_the_dark(sit_down: SitDown, ran: dict[str, Any]) -> None:
    page = sit_down("viewer", color_scheme="light")
    page.goto(f"/admin/governance/run/stats/?by=model&key={ran['key']}")
    expect(page.locator("[data-drawn] .chart canvas")).to_have_count(6)
    assert page.locator(".chart canvas").first.evaluate(
        "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)"
    )
    errors = page.get_by_role("region", name="Errors", exact=True)
    errors.get_by_text("As a table").click()
    expect(errors.locator(".figures thead th")).to_have_text(["Day (UTC)", "mock-fail", "one", "two"])
    expect(errors.locator(".figures tbody td")).to_have_text(["1", "0", "0"])
    axe(page)
    page.get_by_role("button", name="Toggle theme").click()
    expect(page.locator(".chart canvas")).to_have_count(6)
    axe(page, "color-contrast")


def test_an_audit_entry_shows_old_and_new_beside_each_other_and_files_can_be_had(
    server: Server, sit_down: SitDown
) -> None:
    prompt = make_prompt(server, "first line\nsecond line", "first line\nanother line")
    with server.client() as client:
        client.put(f"/api/prompts/{prompt['id']}", json={"name": "=cmd|' /C calc'!A0"})
    page = sit_down("viewer")
    page.goto(f"/admin/governance/auditentry/?key={prompt['key']}&action=update")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    with page.expect_download() as started:
        page.get_by_role("link", name="Export as JSON").click()
    rows = json.loads(started.value.path().read_text())
    assert [row["changes"].keys() for row in rows] == [{"name"}, {"content"}]
    with page.expect_download() as started:
        page.get_by_role("link", name="Export as CSV").click()
    assert started.value.suggested_filename.endswith(".csv")
    page.locator("#result_list tbody th a").last.click()
    expect(page.locator(".diff td.removed")).to_have_text("second line")
    expect(page.locator(".diff td.added")).to_have_text("another line")
    axe(page)


@pytest.mark.both_databases
def test_live_clients_appear_and_go_without_a_reload(server: Server, sit_down: SitDown) -> None:
    page = sit_down("viewer")
    page.goto("/admin/governance/connection/")
    app = key("shop")
    row = page.locator("#result_list tbody tr", has_text=app)
    expect(row).to_have_count(0)
    page.evaluate("window.stayed = true")
    with connect(server.stream_url(client="python", app=quote(app + HOSTILE[:60]), namespace="prod")):
        expect(row).to_have_count(1)
        expect(row.locator("td").first).to_have_text(f"{app}{HOSTILE[:60]}")
        axe(page)
    expect(row).to_have_count(0)
    assert page.evaluate("[window.stayed, window.hit]") == [True, None]


def test_a_new_tokens_secret_is_copied_by_a_button_and_works(server: Server, sit_down: SitDown) -> None:
    page = sit_down("admin", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/admin/governance/token/add/")
    page.get_by_label("Name").fill("shop")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_label("Workspace").select_option("default")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"po_[\w-]{43}", secret)
    with server.client(secret) as client:
        assert client.get("/api/me").json()["token"]["name"] == "shop"
    page.reload()
    expect(page.get_by_text(secret)).to_have_count(0)


def test_each_role_has_its_part_of_the_navigation_and_of_the_pages(server: Server, sit_down: SitDown) -> None:
    observing = ["Playground", "Runs", "Statistics", "Live clients", "Audit", "Workspaces", "Environments"]
    for role, more in (("viewer", []), ("editor", []), ("admin", ["Users", "Tokens", "Model providers"])):
        page = sit_down(role)
        page.goto("/admin/")
        navigation = page.get_by_role("navigation", name="Main")
        for name in (*observing, *more):
            expect(navigation.get_by_role("link", name=name, exact=True)).to_have_count(1)
        for name in {"Users", "Tokens", "Model providers"} - {*more}:
            expect(navigation.get_by_role("link", name=name, exact=True)).to_have_count(0)


def test_somebody_of_one_workspace_sees_runs_and_figures_of_it_alone(server: Server, sit_down: SitDown) -> None:
    with server.client() as client:
        room = client.post("/api/workspaces", json={"name": key("room")}).json()["data"]
        body = {"content": "Hi", "workspace_id": room["id"], "model": key("model")}
        assert client.post("/api/playground/run", json=body).status_code == 200
    inside = Person.of_role(server, "viewer", username=key("inside"), workspaces=[room["id"]])
    for who, runs in ((inside, 1), ("viewer", 0)):
        page = sit_down(who)
        page.goto(f"/admin/governance/run/?model={body['model']}")
        expect(page.locator("#result_list tbody tr")).to_have_count(runs)
        page.goto("/admin/governance/run/stats/?by=model")
        expect(page.locator(".figures th", has_text=body["model"])).to_have_count(7 * runs)


@pytest.mark.parametrize("path", ["run/", "run/stats/", "auditentry/", "connection/"])
def test_pages_of_observation_are_whole_on_a_phone(sit_down: SitDown, ran: dict[str, Any], path: str) -> None:
    page = sit_down("viewer", **PHONE)
    page.goto(f"/admin/governance/{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    axe(page)
    if path == "run/":
        page.goto(f"/admin/governance/run/{ran['run']}/change/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 391
        axe(page)
