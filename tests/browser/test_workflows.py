"""Workflows in a real browser: built, mended where the server says, published, run, watched, approved."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.support import PHONE, Watch, _data, axe, key
from tests.servers import Server

SitDown = Callable[..., Page]
HOSTILE = "</textarea></script><script>alert(1)</script>"


def make_workflow(server: Server, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        return _data(client.post("/api/workflows", json={"key": key("flow"), "steps": list(steps), **fields}))


def path_of(workflow: dict[str, Any], page: str = "change") -> str:
    return f"/admin/workflows/workflow/{workflow['id']}/{page}/"


def card(page: Page, place: int) -> Locator:
    return page.locator("#builder-steps > .card-list > .cards > .card").nth(place)


def add_step(page: Page, kind: str) -> Locator:
    page.get_by_role("button", name="Add a step").click()
    page.locator(".choice", has=page.locator("strong", has_text=kind)).first.click()
    return card(page, page.locator("#builder-steps > .card-list > .cards > .card").count() - 1)


def view(page: Page, name: str) -> None:
    page.locator(f".switch label:has([value={name}])").click()


@pytest.mark.both_databases
def test_a_workflow_is_built_mended_where_the_server_says_published_run_and_its_timeline_seen(page: Page) -> None:
    name = key("flow")
    page.goto("/admin/workflows/workflow/add/")
    page.get_by_label("Workspace").select_option(label="Default")
    page.get_by_label("Key:").fill(name)
    page.get_by_role("button", name="Add an input").click()
    page.get_by_label("Name of input 1").fill("topic")
    first = add_step(page, "render")
    first.get_by_label("Name", exact=True).fill("draft")
    first.get_by_role("textbox", name="Template").click()
    page.keyboard.type("Write about {{inputs.topik}}")
    add_step(page, "model").get_by_label("Name", exact=True).fill("answer")
    add_step(page, "transform").get_by_label("Operation").select_option("upper")
    axe(page)

    page.get_by_role("button", name="Save and continue editing").click()
    expect(first.locator("[data-field=template] > .problem")).to_contain_text("there is no input topik")
    expect(card(page, 1).locator(".badge.bad:visible")).to_have_count(0)
    assert page.url.endswith("/add/")
    expect(first.get_by_role("textbox", name="Template")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("Write about {{inputs.topic}}")
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_url("**/change/")

    page.get_by_role("link", name="Publish", exact=True).click()
    expect(page.locator(".diff")).to_contain_text("Write about {{inputs.topic}}")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".facts-line")).to_contain_text("v1 is live")

    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_label("topic").fill(f"rain {HOSTILE}")
    axe(page)
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".run-state")).to_contain_text("Ended", timeout=20_000)
    expect(page.locator(".timeline tbody tr")).to_have_count(3)
    expect(page.locator(".timeline rect.succeeded")).to_have_count(3)
    page.locator(".timeline summary").first.click()
    expect(page.locator(".attempt").first).to_contain_text(f"Write about rain {HOSTILE}")
    expect(page.locator("#run-live")).to_contain_text("MOCK COMPLETION")
    axe(page)


@pytest.mark.both_databases
def test_an_editor_approves_while_the_page_follows_the_run_and_a_viewer_can_only_watch(
    server: Server, sit_down: SitDown
) -> None:
    ask = {"id": "ok", "type": "approval", "message": "Is {{input}} fine?"}
    shout = {"type": "transform", "op": "upper", "name": "shout"}
    workflow = make_workflow(server, {"type": "render", "template": "{{input}}", "name": "take"}, ask, shout)
    viewer, editor = sit_down("viewer"), sit_down("editor", color_scheme="dark")
    viewer.goto(path_of(workflow, "run"))
    viewer.get_by_label("input").fill(HOSTILE)
    viewer.get_by_role("button", name="Run").click()
    expect(viewer.locator(".approval")).to_contain_text(f"Is {HOSTILE} fine?", timeout=20_000)
    for word in ("Approve", "Reject", "Cancel the run", "Resume"):
        expect(viewer.get_by_role("button", name=word)).to_have_count(0)

    editor.goto(viewer.url)
    axe(editor)
    editor.get_by_label("Comment").fill(f"go on {HOSTILE}")
    editor.get_by_role("button", name="Approve").click()
    expect(viewer.locator(".run-state")).to_contain_text("Ended", timeout=20_000)  # without a reload
    viewer.locator(".timeline summary", has_text="approval").click()
    expect(viewer.locator(".timeline .note")).to_contain_text(f"Approved by editor: go on {HOSTILE}")

    editor.reload()
    editor.get_by_label("From").select_option("ok")
    editor.get_by_role("button", name="Resume").click()
    expect(editor.locator(".approval")).to_be_visible(timeout=20_000)
    editor.get_by_role("button", name="Reject").click()
    expect(editor.locator("#run-live > .note.bad")).to_contain_text("editor rejected it", timeout=20_000)


def test_a_definition_goes_from_the_form_to_json_and_yaml_and_back_and_loses_nothing(
    server: Server, page: Page
) -> None:
    branch = {"when": {"and": [{"path": "input", "op": "contains", "value": "3"}]}, "goto": "last"}
    inner = {"type": "transform", "op": "upper", "name": "up"}
    steps: list[dict[str, Any]] = [
        {"name": "parts", "type": "transform", "op": "split", "separator": " ", "retry": {"max": 2}},
        {"name": "each", "type": "map", "steps": [inner], "on_error": {"goto": "last"}, "timeout": 5},
        {"name": "choose", "type": "condition", "branches": [branch]},
        {"name": "last", "type": "render", "template": f"{{{{input}}}} {HOSTILE}"},
    ]
    workflow = make_workflow(server, *steps, outputs={"all": {"path": "steps.last.output"}, "text": "{{input}}"})
    page.goto(path_of(workflow))
    for toggle in page.locator(".card-toggle").all():
        toggle.click()  # every field of every step is made
    with server.client() as client:
        before = _data(client.get(f"/api/workflows/{workflow['id']}"))
    view(page, "yaml")
    yaml = page.locator("#builder-yaml")
    expect(yaml).to_be_visible()
    yaml.fill(yaml.input_value().replace("timeout: 5", "timeout: 6"))
    view(page, "json")
    expect(page.locator("[data-view=json] .cm-content")).to_contain_text('"timeout": 6')
    view(page, "form")
    page.get_by_role("button", name="Up: last").press("Enter")
    page.get_by_role("button", name="Down: last").press("Enter")
    page.get_by_role("button", name="Save and continue editing").click()
    page.locator(".messagelist").wait_for()
    with server.client() as client:
        after = _data(client.get(f"/api/workflows/{workflow['id']}"))
    assert after["steps"][1].pop("timeout") == 6
    assert before["steps"][1].pop("timeout") == 5
    for name in ("inputs", "steps", "outputs"):
        assert after[name] == before[name]


def test_a_field_that_the_form_does_not_know_is_shown_and_told_of_and_is_not_lost(server: Server, page: Page) -> None:
    workflow = make_workflow(server, {"type": "render", "template": "x", "name": "take"})
    page.goto(path_of(workflow))
    view(page, "json")
    text = '{"steps": [{"type": "render", "template": "x", "name": "take", "colour": {"red": 1}}]}'
    page.locator("[data-view=json] .cm-content").fill(text)
    view(page, "form")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[data-field=colour] > .problem")).to_contain_text("unknown field")
    view(page, "json")
    expect(page.locator("[data-view=json] .cm-content")).to_contain_text('"colour"')


def test_a_second_editor_of_a_workflow_is_told_and_loses_nothing(server: Server, sit_down: SitDown) -> None:
    workflow = make_workflow(server, {"type": "render", "template": "one", "name": "take"})
    first, second = sit_down("editor"), sit_down("admin")
    for page in (first, second):
        page.goto(path_of(workflow))
        page.locator(".card-toggle").click()
        page.get_by_role("textbox", name="Template").click()
        page.keyboard.type("mine" if page is second else "theirs")
    first.get_by_role("button", name="Save", exact=True).click()
    first.wait_for_url("**/workflow/")
    second.get_by_role("button", name="Save", exact=True).click()
    expect(second.locator(".conflict")).to_contain_text("onetheirs")
    second.locator(".card-toggle").click()
    expect(second.get_by_role("textbox", name="Template")).to_contain_text("onemine")
    second.get_by_label("I have seen both").check()
    second.get_by_role("button", name="Save", exact=True).click()
    second.wait_for_url("**/workflow/")


def test_on_a_phone_the_pages_of_a_workflow_are_no_wider_than_it(server: Server, sit_down: SitDown) -> None:
    each = {"name": "each", "type": "map", "steps": [{"type": "transform", "op": "upper"}]}
    workflow = make_workflow(server, {"type": "transform", "op": "split", "separator": ","}, each)
    page = sit_down("editor", **PHONE)
    page.goto(path_of(workflow))
    for toggle in page.locator(".card-toggle").all():
        toggle.click()
    widths = [page.evaluate("document.documentElement.scrollWidth")]
    page.goto(path_of(workflow, "run"))
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.get_by_label("input").fill("a,b")
    page.get_by_label("How").select_option("wait")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".timeline tbody tr")).to_have_count(4)
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert max(widths) <= 391


def test_a_document_is_imported_and_exported_and_what_is_wrong_with_it_is_said(page: Page) -> None:
    name = key("flow")
    page.goto("/admin/workflows/workflow/import/")
    page.locator("#id_workspace").select_option("default")
    page.get_by_label("Or its text").last.fill("key: [")
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#id_text_error")).to_contain_text("not valid YAML")
    axe(page)
    text = f"key: {name}\nsteps:\n- name: take\n  type: render\n  template: x\n"
    page.locator(".cm-content").fill(text)
    page.get_by_role("button", name="Import").click()
    page.wait_for_url("**/change/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert download.value.suggested_filename == f"{name}.yaml"
    assert download.value.path().read_text() == text


def test_a_schedule_shows_its_next_times_as_one_types_and_a_webhooks_secret_is_shown_once(
    server: Server, page: Page, watch: Watch
) -> None:
    workflow = make_workflow(server, {"type": "render", "template": "x"})
    page.goto("/admin/workflows/schedule/add/")
    page.get_by_label("Workflow:").select_option(label=workflow["key"])
    page.get_by_label("Name:").fill(HOSTILE)
    page.get_by_label("Cron:").fill("30 7 * *")
    expect(page.locator("#schedule-next")).to_contain_text("expected five fields")
    page.get_by_label("Cron:").fill("30 7 * * 1")
    expect(page.locator("#schedule-next li")).to_have_count(5)
    expect(page.locator("#schedule-next li").first).to_contain_text("Mon")
    axe(page)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/schedule/")

    page.goto("/admin/workflows/webhook/add/")
    page.get_by_label("Workflow:").select_option(label=workflow["key"])
    page.get_by_label("Name:").fill(HOSTILE)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator("#new-secret")).to_contain_text("whsec_")
    axe(page)
    page.reload()
    assert "whsec_" not in page.content()
