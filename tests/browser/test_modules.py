"""Modules of the pages' scripts, each alone in a real browser."""

from typing import Any

from playwright.sync_api import Page, expect

from prompts.content.rendering import variables_of
from tests.contract.vectors import load

NAMES_OF = """async (templates) => {
  const { VARIABLE } = await import("/static/governance/variable.js");
  return templates.map((template) => [...new Set([...template.matchAll(VARIABLE)].map(([, name]) => name))]);
}"""
IDS_OF = """async (lists) => {
  const { idsOf } = await import("/static/workflows/references.js");
  return lists.map(idsOf);
}"""
SECRET = """async (token) => {
  const { makeField } = await import("/static/governance/form/fields.js");
  const holder = token === null ? {} : { token };
  const context = { changed: () => (document.title = JSON.stringify(holder)), broken: new Set() };
  const schema = { oneOf: [], description: "What it logs in with.", "x-form": { widget: "secret" } };
  document.querySelector("main, body").prepend(makeField({ name: "token", schema }, holder, context));
}"""


def test_the_pages_find_the_variables_that_the_server_finds(page: Page) -> None:
    page.goto("/admin/")
    templates = [vector["template"] for vector in load("rendering")]
    assert page.evaluate(NAMES_OF, templates) == [variables_of(template) for template in templates]


def test_the_builder_gives_steps_the_ids_that_the_server_gives_them(page: Page) -> None:
    page.goto("/admin/")
    vectors: list[dict[str, Any]] = load("step_ids")
    assert page.evaluate(IDS_OF, [vector["steps"] for vector in vectors]) == [vector["ids"] for vector in vectors]


def test_a_secret_field_takes_a_value_that_it_does_not_show(page: Page) -> None:
    page.goto("/admin/")
    page.evaluate(SECRET, None)
    value = page.get_by_label("Token", exact=True).and_(page.locator("input"))
    expect(value).to_have_attribute("type", "password")
    value.fill("swordfish")
    expect(page).to_have_title('{"token":"swordfish"}')


def test_a_stored_secret_is_shown_by_its_hint_until_it_is_replaced(page: Page) -> None:
    page.goto("/admin/")
    page.evaluate(SECRET, {"kept": "0123", "hint": "…abcd"})
    expect(page.locator("[data-field=token]")).to_contain_text("stored, …abcd")
    page.get_by_role("button", name="Replace the value of Token").click()
    value = page.get_by_label("Token", exact=True).and_(page.locator("input"))
    expect(value).to_be_focused()
    page.keyboard.type("new")
    expect(page).to_have_title('{"token":"new"}')
