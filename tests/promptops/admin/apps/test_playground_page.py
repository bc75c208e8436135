"""The playground's page and what its script asks: who may, what streams, what is saved."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.runs.models import Run
from governance.tenancy.models import Environment, Workspace
from prompts import services
from prompts.models import Prompt
from tests.agents.runtime.test_streaming import events_of
from tests.promptops.admin.browser import Browser
from tests.promptops.admin.conftest import World
from tests.promptops.admin.world import HOSTILE

Browse = Callable[..., Browser]
RUN, PROMPTS = "/admin/playground/run/", "/admin/playground/prompts/"
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")


def ask(browser: Browser, path: str = RUN, **body: Any) -> Any:
    return browser.client.post(path, json.dumps(body), content_type="application/json")


def run(browser: Browser, **body: Any) -> dict[int, dict[str, Any]]:
    """What each variant ended with, and its pieces as `text`."""
    answer: Any = ask(browser, **{"variables": {}, "variants": [{}], **body})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    ended: dict[int, dict[str, Any]] = {}
    pieces: dict[int, str] = {}
    for name, data in events_of(b"".join(answer).decode()):
        if name == "delta":
            pieces[data["variant"]] = pieces.get(data["variant"], "") + data["text"]
        elif name == "variant":
            ended[data["variant"]] = {**data, "text": pieces.get(data["variant"], "")}
    return ended


@pytest.fixture
def stored(workspace: Workspace) -> Prompt:
    """A prompt with a version v1, and a draft that differs."""
    prod = Environment.objects.select_related("workspace").get(workspace=workspace, name="prod")
    made = services.create_prompt(actor=SYSTEM, environment=prod, key="greeting", content="One {{a}}", model="m-one")
    services.publish(actor=SYSTEM, prompt=made)
    return services.update_prompt(actor=SYSTEM, prompt=made, content="Two {{a}}")


def test_a_viewer_runs_texts_and_versions_side_by_side_and_each_is_logged(stored: Prompt, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    variants = [{}, {"version": "v1"}, {"version": "draft", "model": "m-two"}, {"version": "live"}]
    ended = run(browser, id=str(stored.pk), content="Zero {{a}} {{b}}", variables={"a": 7}, variants=variants)
    assert [ended[number]["rendered"] for number in range(4)] == ["Zero 7 {{b}}", "One 7", "Two 7", "One 7"]
    assert [ended[number]["missing"] for number in range(4)] == [["b"], [], [], []]
    assert all(
        end["text"] == end["result"]["output"] == f"mock completion for: {end['rendered']}" for end in ended.values()
    )
    assert browser.user is not None
    logged = {str(each.pk): each for each in Run.objects.all()}
    runs = [logged[ended[number]["run_id"]] for number in range(4)]
    assert [(each.version, each.model, each.status, each.actor) for each in runs] == [
        ("", "mock-1", "ok", browser.user.username),
        ("v1", "m-one", "ok", browser.user.username),
        (runs[2].version, "m-two", "ok", browser.user.username),
        ("v1", "m-one", "ok", browser.user.username),
    ]
    assert [each.prompt_id for each in runs] == [None, stored.pk, stored.pk, stored.pk]


def test_a_variant_that_fails_or_is_refused_says_why_and_stops_no_other(stored: Prompt, browse: Browse) -> None:
    variants = [
        {"version": "v9"},
        {"model": "mock-fail"},
        {"provider": "nowhere"},
        {"config": "warm"},
        {"version": "live"},
        {"provider": "openai"},
    ]
    ended = run(browse(Role.VIEWER), id=str(stored.pk), content="Hi", variants=variants)
    said = {number: end.get("error", "") for number, end in ended.items()}
    assert "no version 'v9'" in said[0]
    assert "mock" in said[1].lower()
    assert "unknown provider 'nowhere'" in said[2]
    assert said[3] == "config: expected a JSON object"
    assert said[4] == ""
    assert "there is no key for OpenAI" in said[5]
    assert Run.objects.filter(status="error").count() == 1


def test_with_strict_a_missing_value_is_an_error_that_names_it(stored: Prompt, browse: Browse) -> None:
    ended = run(browse(Role.VIEWER), content="Hi {{a}} {{b}}", variables={"a": 1}, strict=True)
    assert ended[0]["error"] == "variables: there is no value for b"


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ([], 400, "expected a JSON object"),
        ({"variants": []}, 400, "expected a list of one to 6"),
        ({"variants": [{}] * 7}, 400, "expected a list of one to 6"),
        ({"variants": [{"api_key": "sk"}], "content": "x"}, 400, "expected objects of"),
        ({"variants": [7], "content": "x"}, 400, "expected objects of"),
        ({"variants": [{}], "id": "zzz"}, 400, "id: "),
        ({"variants": [{}], "id": "00000000-0000-4000-8000-000000000000"}, 404, "not found"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_a_sentence(
    stored: Prompt, browse: Browse, body: Any, status: int, sentence: str
) -> None:
    answer = browse(Role.VIEWER).client.post(RUN, json.dumps(body), content_type="application/json")
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    assert Run.objects.count() == 0


def test_no_json_or_too_much_of_it_is_refused_with_a_sentence(stored: Prompt, browse: Browse, settings: Any) -> None:
    browser = browse(Role.VIEWER)
    for content, status in (
        ("{", 400),
        ("\x00", 400),
        ("[" * 5000, 400),
        (f'"{"x" * (settings.PROMPTOPS_MAX_BODY_BYTES + 1)}"', 413),
    ):
        answer = browser.client.post(RUN, content, content_type="application/json")
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")


def test_a_prompt_of_another_workspace_is_not_there(world: World, hidden: World, browse: Browse) -> None:
    browser, foreign = browse(Role.EDITOR), hidden[Prompt]
    assert ask(browser, id=str(foreign.pk), variants=[{"version": "draft"}]).status_code == 404
    assert browser.client.get(f"{PROMPTS}{foreign.pk}/").status_code == 404
    assert browser.client.get(f"{PROMPTS}{foreign.pk}/version/", {"label": "v1"}).status_code == 404
    assert ask(browser, f"{PROMPTS}{foreign.pk}/save/", content="mine", if_match=foreign.etag).status_code == 404
    room: Any = hidden[Workspace]
    ended = run(browser, content="x", workspace_id=room.pk)
    assert "no such workspace" in ended[0]["error"]
    assert Run.objects.filter(workspace_id=room.pk, source="playground").count() == 0


def test_an_editor_saves_a_variant_as_the_draft_and_the_audit_log_has_it(stored: Prompt, browse: Browse) -> None:
    browser = browse(Role.EDITOR)
    read = browser.client.get(f"{PROMPTS}{stored.pk}/").json()
    assert (read["labels"], read["live"], read["draft"]["content"]) == (["v1"], "v1", "Two {{a}}")
    save = f"{PROMPTS}{stored.pk}/save/"
    answer = ask(browser, save, content="Three", model="m-3", config={"temperature": 1}, if_match=read["etag"])
    assert answer.status_code == 200
    stored.refresh_from_db()
    assert (stored.content, stored.model, stored.config, stored.etag) == (
        "Three",
        "m-3",
        {"temperature": 1},
        answer.json()["etag"],
    )
    entry = AuditEntry.objects.filter(resource="prompt", action="update")[0]
    assert browser.user is not None
    assert (entry.actor, entry.changes["content"]) == (browser.user.username, {"old": "Two {{a}}", "new": "Three"})
    stale = ask(browser, save, content="Four", if_match=read["etag"])
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert ask(browser, save, content="Four").status_code == 412  # without the state that one saw, too
    assert ask(browser, save, label="v1", if_match=stored.etag).status_code == 200
    stored.refresh_from_db()
    assert stored.content == "One {{a}}"
    assert ask(browser, save, label="v9", if_match=stored.etag).status_code == 404
    assert ask(browser, save, content=7, if_match=stored.etag).json()["fields"].keys() == {"content"}


def test_a_viewer_runs_and_does_not_save(stored: Prompt, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    assert "&quot;maySave&quot;: false" in browser.open("/admin/playground/").text
    answer = ask(browser, f"{PROMPTS}{stored.pk}/save/", content="mine", if_match=stored.etag)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden: requires editor role")
    stored.refresh_from_db()
    assert stored.content == "Two {{a}}"


def test_nothing_is_run_or_saved_without_a_session_or_without_the_csrf_token(stored: Prompt, browse: Browse) -> None:
    stranger = Browser()
    for path in ("/admin/playground/", PROMPTS, f"{PROMPTS}{stored.pk}/"):
        assert stranger.client.get(path).status_code == 302
    assert ask(stranger, variants=[{}], content="x").status_code == 302
    strict = Client(enforce_csrf_checks=True)
    user = browse(Role.EDITOR).user
    assert user is not None
    strict.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    for path in (RUN, f"{PROMPTS}{stored.pk}/save/"):
        body = json.dumps({"variants": [{}], "content": "x", "if_match": stored.etag})
        assert strict.post(path, body, content_type="application/json").status_code == 403
    assert Run.objects.count() == 0


def test_prompts_are_found_by_words_of_their_key_and_name(world: World, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    assert [each["key"] for each in browser.client.get(PROMPTS, {"q": "gree SCRIPT"}).json()["data"]] == ["greeting"]
    assert browser.client.get(PROMPTS, {"q": "gree nothing"}).json() == {"data": []}
    assert browser.client.get(PROMPTS, {"q": "100% ' _ ("}).status_code == 200


def test_what_providers_and_workspaces_are_called_is_text_on_the_page(world: World, browse: Browse) -> None:
    workspace: Any = world[Workspace]
    workspace.name = f"</select>{HOSTILE}"
    workspace.save(update_fields=["name"])
    text = browse().open("/admin/playground/", prompt=HOSTILE, version='"><script>').text
    assert "<script>alert" not in text
    assert '"><script>' not in text.replace('defer"></script>', "")
    assert "</select><script>" not in text
