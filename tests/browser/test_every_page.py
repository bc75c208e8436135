"""What holds on every page that the navigation leads to, whoever added it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.support import PHONE, axe, make_prompt
from tests.servers import Server

SitDown = Callable[..., Page]


def targets(page: Page) -> list[str]:
    page.goto("/admin/")
    links = page.locator("#navigation a")
    return [str(links.nth(place).get_attribute("href")) for place in range(links.count())]


@pytest.mark.parametrize(("scheme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_every_page_of_the_navigation_opens_without_an_error_and_is_accessible(
    server: Server, sit_down: SitDown, scheme: str, rules: tuple[str, ...]
) -> None:
    make_prompt(server, "Hello {{name}}", "Hello {{name}}!")
    page = sit_down("admin", color_scheme=scheme)
    for target in targets(page):
        answer = page.goto(target)
        assert answer is not None
        assert answer.status == 200, target
        axe(page, *rules)


def test_no_page_of_the_navigation_is_wider_than_a_phone(server: Server, sit_down: SitDown) -> None:
    make_prompt(server, "Hello {{name}}", "Hello {{name}}!")
    page = sit_down("admin", **PHONE)
    too_wide = {}
    for target in targets(page):
        page.goto(target)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 391:
            too_wide[target] = width
    assert too_wide == {}


def test_on_a_phone_the_navigation_opens_and_closes_by_keyboard(sit_down: SitDown) -> None:
    page = sit_down("viewer", **PHONE)
    page.goto("/admin/")
    button = page.get_by_role("button", name="Menu")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Prompts", exact=True)
    assert link.count() == 0
    button.press("Enter")
    link.focus()
    link.press("Escape")
    assert button.get_attribute("aria-expanded") == "false"
    button.press("Enter")
    link.click()
    page.get_by_role("heading", name="Prompts", level=1).wait_for()


def test_the_editor_and_the_chart_of_the_vendors_keep_to_the_policy(page: Page) -> None:
    page.goto("/admin/")
    page.evaluate("""async () => {
        const cm = await import("/static/promptops/vendor/codemirror.js");
        const parent = document.getElementById("content");
        const view = new cm.EditorView({ doc: "Hello {{name}}", extensions: [cm.basicSetup, cm.json()], parent });
        view.dispatch({ selection: { anchor: 0, head: 5 } });
        new cm.MergeView({ a: { doc: "one" }, b: { doc: "two" }, parent });
        const { default: Plot } = await import("/static/promptops/vendor/uplot.js");
        new Plot({ width: 300, height: 100, series: [{}, { stroke: "red" }] }, [[1, 2], [3, 4]], parent);
    }""")
    assert page.locator(".cm-editor").count() == 3
    assert page.locator(".cm-changedLine").count() == 2
    # Its style sheet is at work: without it lines would not be laid out as blocks of a flex container.
    assert page.locator(".cm-scroller").first.evaluate("(element) => getComputedStyle(element).display") == "flex"
    assert page.locator("#content > .uplot canvas").count() == 1  # home may have others


def test_the_theme_toggle_changes_the_colours_and_is_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/admin/")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Toggle theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark
