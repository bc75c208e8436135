"""Nothing in the back office goes round the services: what it saves leaves the traces that the API leaves."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import transaction
from rest_framework.test import APIClient

from agents.models import Agent
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.core.errors import ConflictError
from governance.identity.models import Token, User
from governance.tenancy import environments, workspaces
from governance.tenancy.models import Environment, Membership, Workspace
from prompts import services
from prompts.models import Prompt, PromptVersion, Rollout
from tests.conftest import PASSWORD
from tests.promptops.admin.browser import Browser, Page
from tests.promptops.admin.conftest import World
from workflows.models import Workflow

Browse = Callable[..., Browser]
STEPS = [{"name": "shout", "type": "transform", "op": "upper"}]
STEPS_TEXT = '[{"name": "shout", "type": "transform", "op": "upper"}]'

SCHEMA = {"type": "object", "required": ["city"]}
TOOL = {
    "type": "http",
    "name": "look",
    "url": "https://words.example/x",
    "headers": {"X-Key": "a-key-of-some-length"},
}


def pk(row: Any) -> str:
    return str(row.pk)


#: What is done, over the API and in the admin.
Deed = tuple[Callable[[APIClient, World], Any], Callable[[Browser, World], Page]]
DEEDS: dict[str, Deed] = {
    "create a prompt": (
        lambda api, world: api.post(
            "/api/prompts",
            {
                "env": "prod",
                "key": "new",
                "name": "New",
                "category": "c",
                "tags": ["a", "b"],
                "content": "one\n  two ",
                "model": "m",
                "config": {"temperature": 0.5},
                "version": "v7",
            },
        ),
        lambda browser, world: browser.add_page(Prompt).send(
            environment=pk(world[Environment]),
            key="new",
            name="New",
            category="c",
            tags="a, b",
            content="one\r\n  two ",
            model="m",
            config='{"temperature": 0.5}',
            version="v7",
        ),
    ),
    "change a prompt": (
        lambda api, world: api.put(
            f"/api/prompts/{pk(world[Prompt])}", {"name": "Else", "tags": ["c"], "content": "new\n", "config": {"n": 1}}
        ),
        lambda browser, world: browser.change_page(world[Prompt]).send(
            name="Else", tags="c", content="new\r\n", config='{"n": 1}'
        ),
    ),
    "move a prompt": (
        lambda api, world: api.put(f"/api/prompts/{pk(world[Prompt])}", {"key": "moved", "env": "test"}),
        lambda browser, world: browser.change_page(world[Prompt]).send(key="moved", environment=pk(environment_test())),
    ),
    "delete a prompt": (
        lambda api, world: api.delete(f"/api/prompts/{pk(world[Prompt])}"),
        lambda browser, world: browser.delete(world[Prompt]),
    ),
    "publish a prompt": (
        lambda api, world: api.post(
            "/api/prompts/publish", {"id": pk(world[Prompt]), "version": "r-1", "note": "Because"}
        ),
        lambda browser, world: browser.operation(world[Prompt], "publish").send(version="r-1", note="Because"),
    ),
    "publish a prompt from the list": (
        lambda api, world: api.post("/api/prompts/publish", {"id": pk(world[Prompt])}),
        lambda browser, world: browser.act("publish_selected", world[Prompt]),
    ),
    "roll a prompt back": (
        lambda api, world: api.post("/api/prompts/rollback", {"id": pk(world[Prompt]), "version": "v1"}),
        lambda browser, world: browser.operation(world[Prompt], "rollback").send(version="v1"),
    ),
    "copy a prompt": (
        lambda api, world: api.post(f"/api/prompts/{pk(world[Prompt])}/copy", {"env": "test", "key": "copied"}),
        lambda browser, world: browser.operation(world[Prompt], "copy").send(env="test", key="copied"),
    ),
    "change a rollout": (
        lambda api, world: api.put(
            f"/api/prompts/{pk(world[Prompt])}/rollout",
            {"enabled": True, "variant_a": "v2", "variant_b": "v1", "weight_a": 12.5},
        ),
        lambda browser, world: browser.operation(world[Prompt], "rollout").send(
            enabled="on", variant_a="v2", variant_b="v1", weight_a="12.5"
        ),
    ),
    "end a rollout": (
        lambda api, world: api.delete(f"/api/prompts/{pk(world[Prompt])}/rollout"),
        lambda browser, world: browser.operation(world[Prompt], "end-rollout").send(),
    ),
    "create an agent": (
        lambda api, world: api.post(
            "/api/agents",
            {
                "env": "prod",
                "key": "new",
                "name": "New",
                "description": "one\ntwo",
                "prompt": "",
                "prompt_key": "greeting",
                "provider": "mock",
                "model": "m",
                "config": {},
                "output": "text",
                "output_schema": {},
                "tools": [],
                "max_turns": 8,
                "max_tokens": 200_000,
                "max_cost_usd": None,
            },
        ),
        lambda browser, world: browser.add_page(Agent).send(
            environment=pk(world[Environment]),
            key="new",
            name="New",
            description="one\r\ntwo",
            prompt_key="greeting",
            model="m",
            config="",
        ),
    ),
    "change an agent": (
        lambda api, world: api.put(
            f"/api/agents/{pk(world[Agent])}", {"prompt": "", "prompt_key": "greeting", "provider": "ollama"}
        ),
        lambda browser, world: browser.change_page(world[Agent]).send(
            prompt="", prompt_key="greeting", provider="ollama"
        ),
    ),
    "give an agent tools and limits": (
        lambda api, world: api.put(
            f"/api/agents/{pk(world[Agent])}",
            {"output": "json", "output_schema": SCHEMA, "tools": [TOOL], "max_tokens": None, "max_cost_usd": 1.5},
        ),
        lambda browser, world: browser.change_page(world[Agent]).send(
            output="json", output_schema=json.dumps(SCHEMA), tools=json.dumps([TOOL]), max_tokens="", max_cost_usd="1.5"
        ),
    ),
    "delete an agent": (
        lambda api, world: api.delete(f"/api/agents/{pk(world[Agent])}"),
        lambda browser, world: browser.delete(world[Agent]),
    ),
    "create a workflow": (
        lambda api, world: api.post("/api/workflows", {"key": "new", "name": "New", "description": "", "steps": STEPS}),
        lambda browser, world: browser.add_page(Workflow).send(
            workspace="default", key="new", name="New", steps=STEPS_TEXT
        ),
    ),
    "change a workflow": (
        lambda api, world: api.put(f"/api/workflows/{pk(world[Workflow])}", {"key": "chained", "steps": STEPS}),
        lambda browser, world: browser.change_page(world[Workflow]).send(key="chained", steps=STEPS_TEXT),
    ),
    "delete a workflow": (
        lambda api, world: api.delete(f"/api/workflows/{pk(world[Workflow])}"),
        lambda browser, world: browser.delete(world[Workflow]),
    ),
    "create a workspace": (
        lambda api, world: api.post("/api/workspaces", {"name": "New room"}),
        lambda browser, world: browser.add_page(Workspace).send(name="New room"),
    ),
    "change a workspace": (
        lambda api, world: api.put("/api/workspaces/default", {"name": "Main", "slug": "main"}),
        lambda browser, world: browser.change_page(world[Workspace]).send(name="Main", slug="main"),
    ),
    "delete a workspace": (
        lambda api, world: api.delete(f"/api/workspaces/{pk(empty_room())}"),
        lambda browser, world: browser.delete(empty_room()),
    ),
    "create an environment": (
        lambda api, world: api.post(
            "/api/environments", {"name": "stage", "description": "Nearly", "require_publish": True}
        ),
        lambda browser, world: browser.add_page(Environment).send(
            workspace="default", name="stage", description="Nearly", require_publish="on"
        ),
    ),
    "change an environment": (
        lambda api, world: api.put(
            f"/api/environments/{pk(world[Environment])}", {"description": "Live", "require_publish": True}
        ),
        lambda browser, world: browser.change_page(world[Environment]).send(description="Live", require_publish="on"),
    ),
    "delete an environment": (
        lambda api, world: api.delete(f"/api/environments/{pk(environment_test())}"),
        lambda browser, world: browser.delete(environment_test()),
    ),
    "create a user": (
        lambda api, world: api.post(
            "/api/users", {"username": "nina", "password": PASSWORD, "role": "editor", "workspaces": ["default"]}
        ),
        lambda browser, world: browser.add_page(User).send(
            username="nina", password=PASSWORD, again=PASSWORD, role="editor", workspaces=["default"]
        ),
    ),
    "change a user": (
        lambda api, world: api.put(
            f"/api/users/{pk(world[User])}", {"username": "nina", "role": "editor", "workspaces": []}
        ),
        lambda browser, world: browser.change_page(world[User]).send(username="nina", role="editor", workspaces=[]),
    ),
    "shut a user out": (
        lambda api, world: api.put(f"/api/users/{pk(world[User])}", {"is_active": False}),
        lambda browser, world: browser.change_page(world[User]).send(is_active=[]),
    ),
    "set a user's password": (
        lambda api, world: api.put(f"/api/users/{pk(world[User])}", {"password": "another-horse-battery"}),
        lambda browser, world: browser.operation(world[User], "password").send(
            password="another-horse-battery", again="another-horse-battery"
        ),
    ),
    "delete a user": (
        lambda api, world: api.delete(f"/api/users/{pk(world[User])}"),
        lambda browser, world: browser.delete(world[User]),
    ),
    "create a token": (
        lambda api, world: api.post("/api/tokens", {"name": "shop", "role": "viewer", "env": "prod"}),
        lambda browser, world: browser.add_page(Token).send(
            name="shop", role="viewer", workspace="default", env="prod"
        ),
    ),
    "revoke a token": (
        lambda api, world: api.delete(f"/api/tokens/{pk(world[Token])}"),
        lambda browser, world: browser.delete(world[Token]),
    ),
}


def environment_test() -> Environment:
    return Environment.objects.get(workspace_id="default", name="test")


def empty_room() -> Workspace:
    return Workspace.objects.filter(name="Empty").first() or workspaces.create_workspace(actor=SYSTEM, name="Empty")


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def traces() -> Iterator[list[dict[str, Any]]]:
    """What is new in the audit log and in the change log afterwards, but for chance ids and the door."""
    audited, changed = set(AuditEntry.objects.values_list("pk", flat=True)), Change.objects.count()
    left: list[dict[str, Any]] = []
    yield left
    for entry in AuditEntry.objects.exclude(pk__in=audited).order_by("created_at"):
        if (entry.action, entry.resource) == ("create", "workspace"):
            assert entry.workspace_id == entry.resource_id
            entry.workspace_id = "its own"
        assert entry.actor_kind in {"session", "admin"}
        by_chance = {"_state", "id", "created_at", "request_id", "actor_kind"} | (
            {"resource_id"} if entry.action == "create" else set()
        )
        left.append({name: value for name, value in vars(entry).items() if name not in by_chance})
    for change in Change.objects.order_by("id")[changed:]:
        by_chance = {"_state", "id", "created_at"} | ({"resource_id"} if change.type == "prompt.created" else set())
        left.append({name: value for name, value in vars(change).items() if name not in by_chance})


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_in_the_admin_is_audited_and_announced_as_what_is_done_over_the_api(
    world: World, login: Any, make_user: Any, deed: str
) -> None:
    user = make_user(Role.ADMIN, username="ada")
    api, browser = login(user=user), Browser(user)
    services.update_prompt(actor=SYSTEM, prompt=world[Prompt], content="a draft that is not live")
    world[Prompt].refresh_from_db()
    environments.update_environment(actor=SYSTEM, environment=world[Environment], description="Where it matters")
    empty_room()
    over_the_api, in_the_admin = DEEDS[deed]
    with undone(), traces() as expected:
        answer = over_the_api(api, world)
        assert answer.status_code in {200, 201}, answer.json()
    with traces() as left:
        page = in_the_admin(browser, world)
        assert page.status == 302 or page.messages, page.errors
    assert left == expected
    assert left[0]["actor"] == "ada"


@pytest.mark.parametrize(
    "model", [Prompt, Agent, Workflow, Environment, Workspace, User], ids=lambda model: model.__name__
)
def test_a_form_that_is_saved_as_it_was_opened_changes_nothing(world: World, browse: Browse, model: type[Any]) -> None:
    row = model.objects.get(pk=world[model].pk)
    browser = browse()
    with traces() as left:
        assert browser.change_page(row).send().status == 302
    assert left == []
    again = model.objects.get(pk=row.pk)
    assert {**vars(again), "_state": None} == {**vars(row), "_state": None}


def test_an_edit_of_one_line_keeps_all_others_as_they_were(world: World, browse: Browse) -> None:
    content = "\n\nfirst\n\tsecond  \n\n<b>&amp;</b> {{ name }}\r\nfourth\n\n"
    prompt = services.update_prompt(actor=SYSTEM, prompt=world[Prompt], content=content)
    browser = browse()
    browser.change_page(prompt).send(name="Only the name")
    prompt.refresh_from_db()
    assert (prompt.name, prompt.content) == ("Only the name", content)
    page = browser.change_page(prompt)
    page.send(content=page.form["content"][0] + "\r\nlast")
    prompt.refresh_from_db()
    assert prompt.content == content.replace("\r\n", "\n") + "\nlast"


def test_deleting_a_published_prompt_asks_first_and_takes_its_versions_and_rollout(
    world: World, browse: Browse
) -> None:
    browser, prompt = browse(Role.EDITOR), world[Prompt]
    asked = browser.open(f"/admin/prompts/prompt/{prompt.pk}/delete/")
    for line in ("<li>prompt: greeting</li>", "<li>Prompts: 1</li>", "<li>Versions: 2</li>", "<li>Rollouts: 1</li>"):
        assert line in asked.text
    assert Prompt.objects.filter(pk=prompt.pk).exists()
    assert browser.delete(prompt).status == 302
    assert not Prompt.objects.filter(pk=prompt.pk).exists()
    assert not PromptVersion.objects.exists()
    assert not Rollout.objects.exists()


def test_deleting_many_deletes_each_through_its_service_and_one_that_is_refused_stops_no_other(
    world: World, browse: Browse
) -> None:
    browser, held = browse(), world[Workspace]
    rooms = [workspaces.create_workspace(actor=SYSTEM, name=f"Room {number}") for number in (1, 2)]
    asked = browser.act("delete_selected", held, *rooms)
    assert "Are you sure" in asked.text
    assert Workspace.objects.count() == 3
    with traces() as left:
        done = browser.act("delete_selected", rooms[0], held, rooms[1], post="yes")
    assert [(entry["action"], entry["summary"]) for entry in left] == [
        ("delete", "Deleted workspace Room 1"),
        ("delete", "Deleted workspace Room 2"),
    ]
    assert list(Workspace.objects.all()) == [held]
    assert "Workspace Default: the default workspace can&#x27;t be deleted" in done.text
    assert "Deleted 2 workspaces." in done.text
    assert LogEntry.objects.filter(action_flag=3).count() == 2


@pytest.mark.parametrize("model", [Prompt, Agent, Workflow, Environment, User, Token], ids=lambda model: model.__name__)
def test_deleting_many_of_any_kind_leaves_an_audit_entry_for_each(
    world: World, browse: Browse, model: type[Any]
) -> None:
    browser, row = browse(), world[model]
    if model is Environment:
        row = environments.create_environment(actor=SYSTEM, workspace=world[Workspace], name="empty")
    with traces() as left:
        browser.act("delete_selected", row, post="yes")
    assert left[0]["action"] == "delete"
    assert left[0]["resource_id"] == str(row.pk)
    assert not model.objects.filter(pk=row.pk).exists()


def test_publishing_many_says_how_each_went(world: World, browse: Browse, make_prompt: Any) -> None:
    refused, fine = (Prompt.objects.get(pk=make_prompt(key)["id"]) for key in ("refused", "fine"))
    browser = browse(Role.EDITOR)

    def publish(*, prompt: Prompt, **rest: Any) -> Any:
        if prompt.key == "refused":
            raise ConflictError("the moon is in the wrong place")
        return original(prompt=prompt, **rest)

    original = services.publish
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(services, "publish", publish)
        page = browser.act("publish_selected", refused, fine)
    assert "Prompt refused: the moon is in the wrong place" in page.text
    assert "Published 1 prompt." in page.text
    fine.refresh_from_db()
    assert fine.status == "published"


def test_a_viewer_can_publish_nothing(world: World, browse: Browse) -> None:
    browser, prompt = browse(Role.VIEWER), world[Prompt]
    services.update_prompt(actor=SYSTEM, prompt=prompt, content="a draft that is not live")
    page = browser.list_page(Prompt)
    assert "publish_selected" not in page.text
    with traces() as left:
        browser.act("publish_selected", prompt)
        for name in ("publish", "rollback", "copy", "rollout", "end-rollout", "finish-rollout"):
            assert browser.operation(prompt, name).status == 403
            assert browser.post(f"/admin/prompts/prompt/{prompt.pk}/{name}/", {"if_match": prompt.etag}).status == 403
    assert left
    assert {entry["action"] for entry in left} == {"denied"}


def test_the_last_admin_can_be_neither_deleted_nor_demoted_nor_shut_out(world: World, browse: Browse) -> None:
    browser = browse(Role.ADMIN)
    last = browser.user
    assert last is not None
    deleted = browser.client.post(f"/admin/governance/user/{last.pk}/delete/", {"post": "yes"}, follow=True)
    assert "is the last admin and can&#x27;t be deleted" in deleted.content.decode()
    assert "is the last admin and can&#x27;t be deleted" in browser.act("delete_selected", last, post="yes").text
    wishes: list[dict[str, Any]] = [{"role": "viewer"}, {"is_active": []}]
    for fields in wishes:
        refused = browser.change_page(last).send(**fields)
        assert "last admin" in refused.errors["__all__"][0]
    last.refresh_from_db()
    assert (last.role, last.is_active) == ("admin", True)


def test_a_new_workspace_is_seen_by_its_maker(browse: Browse, workspace: Workspace) -> None:
    browser = browse(Role.EDITOR)
    browser.add_page(Workspace).send(name="Mine")
    assert Membership.objects.filter(user=browser.user, workspace__name="Mine").exists()
    assert "Mine" in browser.list_page(Workspace).text


def test_users_join_default_unless_told_otherwise(browse: Browse, workspace: Workspace) -> None:
    browser = browse()
    assert browser.add_page(User).form["workspaces"] == ["default"]
    made = browser.add_page(User).send(username="nina", password=PASSWORD, again=PASSWORD, role="viewer", workspaces=[])
    assert made.status == 302
    nina = User.objects.get(username="nina")
    assert nina.check_password(PASSWORD)
    assert not Membership.objects.filter(user=nina).exists()
