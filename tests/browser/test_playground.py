"""The playground, as people use it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.support import PHONE, Watch, axe, make_prompt
from tests.servers import Server

SitDown = Callable[..., Page]


def variant(page: Page, number: int) -> Locator:
    return page.locator(".variant").nth(number)


def choose(page: Page, key: str) -> None:
    field = page.get_by_role("combobox", name="Stored prompt")
    field.fill(key)
    expect(page.get_by_role("option", name=key)).to_have_count(1)
    field.press("ArrowDown")
    field.press("Enter")
    expect(page.locator("#playground-place")).to_contain_text(key)


@pytest.mark.both_databases
def test_two_variants_stream_side_by_side_and_each_is_a_run(server: Server, sit_down: SitDown) -> None:
    prompt = make_prompt(server, "Tell {{ who }} about {{topic}}", "Tell {{ who }} all about {{ topic }} and more")
    page = sit_down("viewer")
    page.goto("/admin/playground/")
    choose(page, prompt["key"])
    page.get_by_role("textbox", name="who", exact=True).fill("Ada")
    page.get_by_role("textbox", name="topic", exact=True).fill("rain")
    variant(page, 0).get_by_label("Model").fill("mock-slow")
    page.get_by_role("button", name="Add a variant").click()
    variant(page, 1).get_by_label("Text").select_option("live")
    expect(variant(page, 1).get_by_label("Model")).to_have_value("mock-slow")
    variant(page, 1).get_by_label("Model").fill("mock-1")
    page.get_by_role("textbox", name="Text", exact=True).press("Control+Enter")
    # The quick one is done while the slow one is in the middle of a sentence.
    expect(variant(page, 1).locator(".variant-figures")).to_be_visible()
    expect(variant(page, 0).locator(".variant-output")).to_contain_text("mock")
    expect(variant(page, 0).locator(".variant-figures")).to_be_hidden()
    expect(variant(page, 0).locator(".variant-figures")).to_be_visible()
    expect(variant(page, 0).locator(".variant-output")).to_have_text(
        "mock completion for: Tell Ada all about rain and more"
    )
    expect(variant(page, 1).locator(".variant-output")).to_have_text("mock completion for: Tell Ada about rain")
    for number in (0, 1):
        expect(variant(page, number).locator("[data-figure=tokens]")).to_contain_text("/")
        expect(variant(page, number).locator("[data-figure=latency]")).to_contain_text("s")
    axe(page)
    expect(page.get_by_role("button", name="Save variant A as draft")).to_be_hidden()
    variant(page, 1).get_by_role("link", name="The run").click()
    expect(page.get_by_role("heading", name=f"Playground {prompt['key']}")).to_be_visible()


def test_fields_for_variables_come_and_go_as_one_types_and_keep_what_is_in_them(page: Page) -> None:
    page.goto("/admin/playground/")
    text = page.get_by_role("textbox", name="Text", exact=True)
    text.fill("Hi {{ a }} and {{b.c}} and {{ not this }}")
    expect(page.locator(".variable > label:first-child")).to_have_text(["a", "b.c"])
    page.get_by_role("textbox", name="a", exact=True).fill("<b>Ada</b>")
    text.fill("Hi")
    expect(page.locator(".variable")).to_have_count(0)
    text.fill("Hi {{ a }} {{ list }}")
    page.get_by_role("textbox", name="list", exact=True).fill("[1, true]")
    page.get_by_role("checkbox", name="list is JSON").check()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".variant-output")).to_have_text("mock completion for: Hi <b>Ada</b> [1,true]")
    page.get_by_role("textbox", name="list", exact=True).fill("[1,")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The value of list is no JSON.")


def test_a_failure_is_a_sentence_beside_a_variant_that_went_well_and_stop_stops(page: Page) -> None:
    page.goto("/admin/playground/")
    page.get_by_role("textbox", name="Text", exact=True).fill("Hi {{ a }}")
    variant(page, 0).get_by_label("Model").fill("mock-unauthorized")
    page.get_by_role("button", name="Add a variant").click()
    variant(page, 1).get_by_label("Model").fill("")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(variant(page, 0).get_by_role("alert")).to_contain_text("Mock (offline)")
    expect(variant(page, 1).locator(".variant-missing")).to_have_text("No value for a: it was sent as it is written.")
    page.get_by_label("Strict").check()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(variant(page, 1).get_by_role("alert")).to_have_text("variables: there is no value for a")
    page.get_by_label("Strict").uncheck()
    page.get_by_role("button", name="Remove variant A").click()
    variant(page, 0).get_by_label("Model").fill("mock-stall")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_an_editor_saves_a_variant_as_draft_and_is_told_when_somebody_else_was_quicker(
    server: Server, sit_down: SitDown, watch: Watch
) -> None:
    prompt = make_prompt(server, "One {{a}}")
    page = sit_down("editor")
    page.goto(f"/admin/playground/?prompt={prompt['id']}")
    text = page.get_by_role("textbox", name="Text", exact=True)
    expect(text).to_have_text("One {{a}}")
    text.fill("Two {{a}}")
    variant(page, 0).get_by_label("Temperature").fill("0.5")
    page.get_by_role("button", name="Save variant A as draft").click()
    expect(page.get_by_role("status")).to_have_text(f"Saved as the draft of {prompt['key']}.")
    with server.client() as client:
        saved = client.get(f"/api/prompts/{prompt['id']}").json()["data"]
        assert (saved["content"], saved["config"]) == ("Two {{a}}", {"temperature": 0.5})
        client.put(f"/api/prompts/{prompt['id']}", json={"content": "By somebody else"})
    text.fill("Three {{a}}")
    with watch.expecting("412"):
        page.get_by_role("button", name="Save variant A as draft").click()
        expect(page.get_by_role("status")).to_contain_text("somebody changed this since you read it")
    expect(text).to_have_text("Three {{a}}")


def test_the_playground_is_whole_on_a_phone_and_in_the_dark(sit_down: SitDown) -> None:
    page = sit_down("viewer", **PHONE, color_scheme="dark")
    page.goto("/admin/playground/")
    page.get_by_role("textbox", name="Text", exact=True).fill(
        "A long {{ variable_with_a_long_name_that_does_not_end }}"
    )
    for _ in range(5):
        page.get_by_role("button", name="Add a variant").click()
    expect(page.get_by_role("button", name="Add a variant")).to_be_disabled()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".variant-figures:visible")).to_have_count(6)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    page.mouse.move(0, 0)
    axe(page)
