"""Agents in a real browser: a form that fits, and a panel to try one in."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import PHONE, _data, axe, key
from tests.servers import Server

SitDown = Callable[..., Page]
HOSTILE = "</textarea></script><script>alert(1)</script>"


@pytest.mark.both_databases
def test_an_agent_with_a_tool_is_made_and_tried_and_the_tools_calls_are_seen(server: Server, sit_down: SitDown) -> None:
    helper, name = key("helper"), key("agent")
    with server.client() as client:
        _data(client.post("/api/agents", json={"key": helper, "prompt": "Weather in {{city}}", "provider": "mock"}))
    page = sit_down("editor")
    page.goto("/admin/agents/agent/add/")
    page.get_by_label("Environment:").select_option(label="Default / prod")
    page.locator("#id_key").fill(name)
    page.locator("#id_model").fill("mock-script")
    page.get_by_role("textbox", name="Prompt").first.click()
    page.keyboard.type(f'@call ask {{"city": "{{{{city}}}}"}}\n@answer It rains {HOSTILE} in {{{{city}}}}')
    page.get_by_label("Temperature").fill("0.4")
    page.get_by_role("button", name="Add a tool").click()
    page.locator(".choice", has_text="agent").first.click()
    page.locator(".card").get_by_label("Name").fill("ask this")
    page.locator(".card").get_by_label("Key").fill(helper)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator("[data-field=name] > .problem")).to_contain_text("expected letters, digits, _ and -")
    axe(page)
    page.locator(".card").get_by_label("Name").fill("ask")
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_url("**/change/")
    with server.client() as client:
        made = next(one for one in client.get("/api/agents").json()["data"] if one["key"] == name)
    assert made["config"] == {"temperature": 0.4}
    assert made["tools"] == [{"type": "agent", "name": "ask", "key": helper}]

    viewer = sit_down("viewer", color_scheme="dark")
    viewer.goto(page.url)
    expect(viewer.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    viewer.locator("#trial-variables textarea").fill("Rome")
    viewer.locator("#trial-session").check()
    viewer.locator("#trial-run").click()
    expect(viewer.locator("#trial-figures")).to_be_visible(timeout=20_000)
    expect(viewer.locator(".trial-call")).to_contain_text("mock completion for: Weather in Rome")
    expect(viewer.locator("#trial-turns pre").last).to_have_text(f"It rains {HOSTILE} in Rome")
    expect(viewer.get_by_role("button", name="New conversation")).to_be_visible()
    axe(viewer)


def test_an_agents_schema_is_made_of_rows_and_its_prompt_is_of_the_registry_or_its_own(
    server: Server, sit_down: SitDown
) -> None:
    name, prompt = key("agent"), key("prompt")
    with server.client() as client:
        _data(client.post("/api/prompts", json={"key": prompt, "env": "prod", "content": "Of {{topic}}"}))
        agent = _data(client.post("/api/agents", json={"key": name, "prompt": "Once", "provider": "mock"}))
    page = sit_down("editor", **PHONE)
    page.goto(f"/admin/agents/agent/{agent['id']}/change/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    page.get_by_label("From the registry").check()
    page.locator("#id_prompt_key").fill(prompt)
    page.locator("#id_output").select_option("json")
    page.get_by_role("button", name="Add a property").click()
    page.get_by_label("Name of property 1").fill("answer")
    page.get_by_role("button", name="Save and continue editing").click()
    page.locator(".messagelist").wait_for()
    with server.client() as client:
        saved = _data(client.get(f"/api/agents/{agent['id']}"))
    assert (saved["prompt"], saved["prompt_key"], saved["output"]) == ("", prompt, "json")
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    assert saved["output_schema"] == schema
    page.locator("#trial-variables textarea").fill("rain")
    page.locator("#trial-run").click()
    expect(page.locator("#trial-turns")).to_contain_text('"answer"', timeout=20_000)
