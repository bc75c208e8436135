"""Work on prompts, with applications that follow it."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from promptops_client import PromptOps

from tests.browser.support import Person, Watch, axe, key, make_prompt
from tests.servers import TOKEN, Server

SitDown = Callable[..., Page]


def address(prompt: dict[str, Any], page: str = "change") -> str:
    return f"/admin/prompts/prompt/{prompt['id']}/{page}/"


def write(page: Page, text: str) -> None:
    """Put `text` into the editor of the content, as somebody who types would."""
    editor = page.get_by_role("textbox", name="Content")
    editor.click()
    editor.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist")).to_contain_text("successfully")


def open_operation(page: Page, name: str) -> None:
    page.locator(".object-tools").get_by_role("link", name=name, exact=True).click()


def soon(what: Callable[[], Any], expected: Any, seconds: float = 5.0) -> None:
    """`what()` comes to be `expected`."""
    deadline = time.monotonic() + seconds
    while (seen := what()) != expected:
        assert time.monotonic() < deadline, f"{seen!r} is not {expected!r}"
        time.sleep(0.02)


@pytest.mark.both_databases
def test_a_prompt_is_made_previewed_published_compared_and_rolled_back_while_an_application_follows(
    server: Server, stranger: Page, tmp_path: Any
) -> None:
    page, name = stranger, key("story")
    editor = Person.of_role(server, "editor", username="eve")
    page.goto("/admin/")
    page.get_by_label("Username").fill(editor.name)
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()

    with PromptOps(server.url, TOKEN, env="prod", cache_dir=tmp_path, poll_interval=0.5) as application:

        def served() -> tuple[str, str]:
            found = application.get_prompt(name, fallback="nothing yet")
            return found.version, found.content

        page.get_by_role("navigation", name="Main").get_by_role("link", name="Prompts", exact=True).click()
        page.get_by_role("link", name="Add prompt").click()
        page.get_by_label("Environment").select_option(label="Default / prod")
        page.get_by_label("Key").fill(name)
        write(page, "Hello {{name}}, welcome to {{product}}.")
        expect(page.locator(".cm-variable")).to_have_text(["{{name}}", "{{product}}"])
        preview = page.get_by_role("region", name="Preview")
        expect(preview.get_by_role("status")).to_contain_text("No value for name, product")
        preview.get_by_label("name").fill("Ada")
        preview.get_by_label("product").fill("{{name}}")
        expect(preview.locator("pre")).to_have_text("Hello Ada, welcome to {{name}}.")
        expect(preview.get_by_role("status")).to_be_hidden()
        save(page)
        soon(served, ("v1", "Hello {{name}}, welcome to {{product}}."))  # never published: the draft is served

        open_operation(page, "Publish")
        page.get_by_label("Note").fill("The first")
        page.get_by_role("button", name="Publish").click()
        expect(page.locator(".messagelist")).to_contain_text(f"Published {name} v1.")

        write(page, "Good day {{name}}.")
        save(page)
        expect(page.locator(".facts-line")).to_contain_text("The draft has changed since")
        assert served() == ("v1", "Hello {{name}}, welcome to {{product}}.")
        open_operation(page, "Publish")
        expect(page.locator(".diff del")).to_have_text("Hello {{name}}, welcome to {{product")
        expect(page.locator(".diff ins")).to_have_text("Good day {{name")
        axe(page)
        page.get_by_role("button", name="Publish").click()
        soon(served, ("v2", "Good day {{name}}."))

        open_operation(page, "Versions")
        expect(page.get_by_role("row").filter(has_text="The first")).to_contain_text("eve")
        expect(page.get_by_role("heading", name="v1 and v2")).to_be_visible()
        page.get_by_label("Compare v2", exact=True).check()
        page.get_by_label("Compare with v1").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", name="v2 and v1")).to_be_visible()
        expect(page.locator(".diff ins")).to_contain_text("welcome to {{product")
        axe(page)

        page.get_by_role("link", name="Roll back to v1").click()
        expect(page.locator(".diff del")).to_contain_text("Good day")
        axe(page)
        page.get_by_role("button", name="Roll back").click()
        soon(served, ("v1", "Hello {{name}}, welcome to {{product}}."))
        expect(page.get_by_role("textbox", name="Content")).to_contain_text("welcome to {{product}}")


def test_a_rollout_to_thirty_percent_is_what_applications_get_until_it_is_finished(
    server: Server, page: Page, tmp_path: Any
) -> None:
    prompt = make_prompt(server, "one", "two", "two")
    with PromptOps(server.url, TOKEN, env="prod", cache_dir=tmp_path, poll_interval=0.5) as application:

        def share() -> int:
            texts = [application.get_prompt(prompt["key"], unit=f"user-{number}").content for number in range(1000)]
            return texts.count("two")

        page.goto(address(prompt))
        open_operation(page, "Rollout")
        page.get_by_label("Variant A").select_option("v2")
        page.get_by_label("Variant B").select_option("v1")
        slider = page.get_by_role("slider", name="Weight of A")
        slider.fill("30")
        expect(page.get_by_label("Weight of A:")).to_have_value("30")
        expect(page.locator("output")).to_have_text("30 % A, 70 % B")
        page.get_by_role("button", name="Save rollout").click()
        expect(page.locator(".facts-line")).to_contain_text("under a rollout")
        deadline = time.monotonic() + 5
        while not 250 <= share() <= 350:
            assert time.monotonic() < deadline, share()
            time.sleep(0.05)

        with server.client() as client:
            agent = {"key": key("agent"), "env": "prod", "prompt_key": prompt["key"], "provider": "mock"}
            made = client.post("/api/agents", json=agent).json()["data"]["id"]
            for number in range(10):
                answer = client.post(f"/api/agents/{made}/run", json={"unit": f"user-{number}"})
                assert answer.status_code == 200
        open_operation(page, "Rollout")
        rows = page.get_by_role("region", name="Expected and actual").locator("tbody tr")
        cells = [row.split("\t") for row in rows.all_inner_texts()]
        assert [cell[2] for cell in cells] == ["30 %", "70 %"]
        assert sum(int(cell[4]) for cell in cells) == 10
        axe(page)

        page.get_by_role("link", name="Finish with one").click()
        page.get_by_label("A: v2").check()
        axe(page)
        page.get_by_role("button", name="Make it live").click()
        expect(page.locator(".messagelist")).to_contain_text("v2 is live for everybody")
        soon(share, 1000)


def test_a_prompt_is_copied_to_another_environment_as_a_draft(server: Server, sit_down: SitDown) -> None:
    prompt = make_prompt(server, "one", "two")
    page = sit_down("editor")
    page.goto(address(prompt))
    open_operation(page, "Copy")
    axe(page)
    page.get_by_label("To environment").select_option("test")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".messagelist")).to_contain_text(f"Copied {prompt['key']} to test")
    open_operation(page, "Copy")
    page.get_by_label("To environment").select_option("test")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".errornote").first).to_be_visible()
    expect(page.locator(".errorlist").first).to_contain_text(f"there is a prompt {prompt['key']} in test already")
    page.get_by_label("Replace the draft there").check()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".messagelist")).to_contain_text("is now this one's")


def test_of_two_who_edit_at_once_the_second_sees_what_the_first_one_did_and_loses_nothing(
    server: Server, sit_down: SitDown
) -> None:
    prompt = make_prompt(server, "one\ntwo\nthree")
    first, second = sit_down("editor"), sit_down("admin")
    for page in (first, second):
        page.goto(address(prompt))
    write(first, "one\nTWO\nthree")
    first.get_by_label("Name").fill("By the first")
    save(first)
    write(second, "one\ntwo\nthree\nfour")
    second.get_by_role("button", name="Save", exact=True).click()
    expect(second.locator(".errorlist").first).to_contain_text("Somebody else changed this since you opened it")
    expect(second.get_by_role("textbox", name="Content")).to_contain_text("four")
    expect(second.locator(".conflict .diff del")).to_have_text(["TWO"])
    expect(second.locator(".conflict .diff ins")).to_have_text(["two", "four"])
    axe(second)
    second.get_by_role("button", name="Save", exact=True).click()  # without a word that both were seen
    expect(second.locator(".conflict")).to_be_visible()
    second.locator(".conflict-field").filter(has_text="Name").get_by_role("button", name="Take theirs").click()
    second.get_by_label("I have seen both").check()
    second.get_by_role("button", name="Save and continue editing").click()
    expect(second.locator(".messagelist")).to_contain_text("successfully")
    with server.client() as client:
        saved = client.get(f"/api/prompts/{prompt['id']}").json()["data"]
    assert (saved["name"], saved["content"]) == ("By the first", "one\ntwo\nthree\nfour")


def test_without_scripts_a_prompt_is_edited_in_a_plain_field(server: Server, sit_down: SitDown) -> None:
    prompt = make_prompt(server, "Hello {{name}}")
    page = sit_down("editor", java_script_enabled=False)
    page.goto(address(prompt))
    page.get_by_label("Content").fill("Good day {{name}}")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_label("Content")).to_have_value("Good day {{name}}")
    expect(page.get_by_role("region", name="Preview")).to_be_hidden()


def test_each_role_sees_exactly_what_it_may(server: Server, sit_down: SitDown, watch: Watch) -> None:
    prompt = make_prompt(server, "Hello {{name}}", "Hello {{name}}!", "Hello {{name}}!!")
    with server.client() as client:
        elsewhere = client.post("/api/workspaces", json={"name": key("room")}).json()["data"]["id"]
        client.post("/api/environments", json={"workspace_id": elsewhere, "name": "prod"})
    hidden = make_prompt(server, "Not for everybody", workspace_id=elsewhere)
    govern = {"Users", "Tokens", "Model providers"}
    for role, tools, people in (
        ("viewer", ["Versions", "Playground", "History"], set()),
        ("editor", ["Publish", "Rollout", "Roll back", "Copy", "Versions", "Playground", "History"], set()),
        ("admin", ["Publish", "Rollout", "Roll back", "Copy", "Versions", "Playground", "History"], govern),
    ):
        page = sit_down(role)
        page.goto(address(prompt))
        assert page.locator(".object-tools a").all_inner_texts() == tools, role
        assert page.get_by_role("button", name=re.compile("^Save")).count() == (0 if role == "viewer" else 3)
        assert page.locator(".cm-editor").count() == (0 if role == "viewer" else 2)
        links = set(page.locator("#navigation section > ul > li > a").all_inner_texts())
        assert links & govern == people
        assert links >= {"Prompts", "Agents", "Workflows", "Runs", "Live clients", "Audit"}
        axe(page)
        page.goto(f"/admin/prompts/prompt/?q={hidden['key']}")
        assert page.get_by_role("link", name=hidden["key"]).count() == (1 if role == "admin" else 0), role
        page.goto(address(hidden))
        assert page.url.endswith("/admin/") is (role != "admin")
        if role == "viewer":
            with watch.expecting("403"):
                answer = page.goto(address(prompt, "publish"))
            assert answer is not None
            assert answer.status == 403


HOSTILE = "</textarea></script><script>window.broken=1</script><img src=x onerror=window.broken=1>\"'>{{name}}"
LINK = "javascript:window.broken=1"


def test_markup_and_script_in_any_field_of_a_prompt_do_nothing_on_any_of_its_pages(
    server: Server, page: Page, sit_down: SitDown
) -> None:
    words = {"name": HOSTILE[:200], "category": HOSTILE[:100], "tags": [HOSTILE[:100], LINK], "model": LINK + HOSTILE}
    prompt = make_prompt(server, HOSTILE, HOSTILE + "\n2", HOSTILE + "\n3", config={"stop": HOSTILE}, **words)
    with server.client() as client:
        done = client.post("/api/prompts/publish", json={"id": prompt["id"], "note": HOSTILE})
        assert done.status_code == 200
        rollout = {"enabled": True, "variant_a": "v1", "variant_b": "v2", "weight_a": 50}
        assert client.put(f"/api/prompts/{prompt['id']}/rollout", json=rollout).status_code == 200
        client.put(f"/api/prompts/{prompt['id']}", json={"content": HOSTILE + HOSTILE})
    other = sit_down("editor")
    other.goto(address(prompt))
    pages = ["change", "publish", "rollback", "rollout", "finish-rollout", "copy", "versions", "delete"]
    paths = [address(prompt, name) for name in pages]
    paths += ["/admin/", "/admin/prompts/prompt/", f"{address(prompt, 'versions')}?a=v1&b=draft"]
    paths += [f"{address(prompt, 'rollback')}?version=v1", "/admin/prompts/promptversion/", "/admin/prompts/prompttag/"]
    for path in paths:
        page.goto(path)
        assert page.evaluate("window.broken") is None, path
        assert page.locator("img[src=x], a[href^='javascript:']").count() == 0, path
    page.goto(address(prompt))
    page.get_by_role("region", name="Preview").get_by_label("name").fill(HOSTILE)
    expect(page.locator("#preview-text")).to_contain_text("onerror=window.broken=1>\"'><")
    page.get_by_label("Name:", exact=True).fill("mine")
    save(page)
    other.get_by_label("Category").fill(HOSTILE[:90] + "x")
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.locator(".conflict")).to_be_visible()
    for seen in (page, other):
        assert seen.evaluate("window.broken") is None
