"""What the back office refuses: it says why, in the form, and loses nothing of what was typed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.utils import DataError

from agents import services
from agents.models import Agent
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.admin.base import as_refusal
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.identity import users
from governance.identity.models import Token, User
from governance.tenancy import environments, workspaces
from governance.tenancy.models import Environment, Workspace
from prompts import services as prompts
from prompts.models import Prompt, Rollout
from tests.conftest import PASSWORD
from tests.promptops.admin.browser import Browser, Page
from tests.promptops.admin.conftest import World
from workflows import services as workflows
from workflows.models import Workflow

Browse = Callable[..., Browser]


def counts() -> tuple[int, ...]:
    """What must not have moved when nothing was saved."""
    return AuditEntry.objects.count(), Change.objects.count(), LogEntry.objects.count()


def kept(page: Page, fields: dict[str, Any]) -> dict[str, Any]:
    """Of `fields` those that the page's form still has as they were typed."""
    return {name: value for name, value in fields.items() if page.form.get(name) == [value]}


PROMPT = {
    "key": "greeting",
    "name": "A name",
    "category": "A category",
    "tags": "one,  two",
    "content": "line one\r\n  line two <b>",
    "model": "m-1",
    "config": '{"temperature":\r\n 0.25}',
    "version": "v5",
}


def test_a_taken_key_is_an_error_on_the_form_which_keeps_the_input(world: World, browse: Browse) -> None:
    browser = browse(Role.EDITOR)
    page, before = browser.add_page(Prompt), counts()
    refused = page.send(environment=str(world[Environment].pk), **PROMPT)
    assert refused.status == 200
    assert refused.errors == {
        "key": ["taken in this environment"],
        "__all__": ["there is a prompt greeting in prod already"],
    }
    assert kept(refused, PROMPT) == PROMPT
    assert refused.form["environment"] == [str(world[Environment].pk)]
    assert counts() == before
    assert refused.send(key="another").status == 302
    made = Prompt.objects.get(key="another")
    assert (made.config, made.tag_names) == ({"temperature": 0.25}, ["one", "two"])


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        (Agent, {"key": "helper", "prompt": "x"}, "key"),
        (Workflow, {"key": "chain", "workspace": "default", "steps": '[{"type": "render", "template": "x"}]'}, "key"),
        (Workspace, {"name": "Again", "slug": "default"}, "slug"),
        (Environment, {"workspace": "default", "name": "prod"}, "name"),
        (User, {"username": "MEMBER", "password": PASSWORD, "again": PASSWORD, "role": "viewer"}, "username"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_taken_name_is_an_error_at_its_field(
    world: World, browse: Browse, model: type[Any], fields: dict[str, Any], field: str
) -> None:
    browser = browse()
    page, before = browser.add_page(model), counts()
    refused = page.send(**({"environment": str(world[Environment].pk)} if model is Agent else {}), **fields)
    assert (refused.status, counts()) == (200, before)
    assert set(refused.errors) == {field, "__all__"}
    assert kept(refused, {field: fields[field]})


def test_a_taken_key_on_a_change_is_refused_too(world: World, browse: Browse, make_prompt: Any) -> None:
    make_prompt("taken")
    refused = browse(Role.EDITOR).change_page(world[Prompt]).send(key="taken", name="Typed")
    assert refused.errors["__all__"] == ["there is a prompt taken in prod already"]
    assert kept(refused, {"key": "taken", "name": "Typed"}) == {"key": "taken", "name": "Typed"}
    world[Prompt].refresh_from_db()
    assert world[Prompt].key == "greeting"


def test_what_a_constraint_refuses_when_a_service_was_raced_is_an_error_on_the_form(
    world: World, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "_refuse_taken_key", lambda environment, key: None)
    browser = browse(Role.EDITOR)
    refused = browser.add_page(Prompt).send(environment=str(world[Environment].pk), **PROMPT)
    assert refused.status == 200
    assert refused.errors["__all__"][0].startswith("somebody else took this name")
    assert kept(refused, PROMPT) == PROMPT


def test_what_somebody_deleted_meanwhile_is_gone_and_no_crash(
    world: World, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, user, prompt = browse(), world[User], world[Prompt]
    page, operation = browser.change_page(user), browser.operation(prompt, "publish")

    def gone(**values: Any) -> None:
        User.objects.filter(pk=user.pk).delete()
        raise User.DoesNotExist

    with monkeypatch.context() as patched:
        patched.setattr(users, "update_user", gone)
        assert page.send(username="x").errors["__all__"] == ["somebody else deleted this at the same time"]
    users.delete_user(actor=SYSTEM, user=user)
    assert page.send(username="x").response.headers["Location"] == "/admin/"
    prompts.delete_prompt(actor=SYSTEM, prompt=prompt)
    assert operation.send().response.headers["Location"] == "/admin/"
    assert browser.delete(prompt).response.headers["Location"] == "/admin/"


def test_a_value_that_a_column_can_not_hold_is_told_as_such() -> None:
    assert as_refusal(DataError("integer out of range")).message == "a value is out of the range that can be stored"


# --- the API's own checks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("key", "no spaces", "expected letters, digits and any of . _ : -"),
        ("key", "", "This field is required."),
        ("key", "k" * 201, "at most 200 characters"),
        ("version", "-", "expected letters, digits and any of . _ + -"),
        ("version", "", "This field is required."),
        ("content", "x" * 262_145, "expected at most 262144 bytes"),
        ("content", "é" * 131_073, "expected at most 262144 bytes"),
        ("content", "nul \0", "Null characters are not allowed."),
        ("name", "nul \0", "Null characters are not allowed."),
        ("tags", "t" * 101, "expected tags of at most 100 characters"),
        ("config", "{", "not valid JSON"),
        ("config", "[1]", "expected a JSON object"),
        ("config", '"text"', "expected a JSON object"),
        ("config", '{"n": NaN}', "NaN is not a JSON number"),
        ("config", '{"n": "\\u0000"}', "no NUL character"),
        ("config", '{"n": "\\ud800"}', "no lone surrogate"),
        ("config", '{"a": 1, "a": 2}', "is there twice"),
        ("config", '{"a":' * 70 + "1" + "}" * 70, "nested deeper than 64 levels"),
        ("config", "[" * 100_000, "nested deeper than 64 levels"),
    ],
)
def test_what_the_api_does_not_take_is_an_error_at_its_field(
    world: World, browse: Browse, field: str, value: str, problem: str
) -> None:
    browser = browse(Role.EDITOR)
    for page in (browser.add_page(Prompt, environment=str(world[Environment].pk)), browser.change_page(world[Prompt])):
        before = counts()
        refused = page.send(**{**PROMPT, "key": "new", field: value})
        assert (refused.status, counts()) == (200, before)
        assert list(refused.errors) == [field]
        assert problem in refused.errors[field][0]
        assert "Error:" in refused.text
        others = {**PROMPT, "key": "new"}
        others.pop(field)
        assert kept(refused, others) == others


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("{}", "expected a list of steps"),
        ('[{"type": "rendr"}]', "steps[0]: type: expected one of: "),
        ('[{"type": "transform", "op": "upper"}, {"name": "x", "type": "render"}]', "steps[1] (x): template: "),
        ("[{]", "this is not valid JSON"),
        (json.dumps([{"type": "wait", "seconds": 0}] * 51), " 50 steps"),
    ],
)
def test_a_workflow_that_could_not_run_is_refused_with_its_steps_still_there(
    world: World, browse: Browse, steps: str, problem: str
) -> None:
    browser, before = browse(Role.EDITOR), world[Workflow].steps
    refused = browser.change_page(world[Workflow]).send(steps=steps)
    assert problem in " ".join(sentence for sentences in refused.errors.values() for sentence in sentences)
    assert refused.form["steps"] == [steps]
    world[Workflow].refresh_from_db()
    assert world[Workflow].steps == before


def test_an_agent_has_one_prompt_and_not_two(world: World, browse: Browse) -> None:
    refused = browse(Role.EDITOR).change_page(world[Agent]).send(prompt="inline", prompt_key="greeting")
    assert refused.errors["prompt"] == ["expected either this or prompt_key"]
    assert kept(refused, {"prompt": "inline", "prompt_key": "greeting"}).keys() == {"prompt", "prompt_key"}


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"password": "short", "again": "short"}, "password", "too short"),
        ({"password": "password123", "again": "password123"}, "password", "too common"),
        ({"password": PASSWORD, "again": PASSWORD + "x"}, "again", "not the same"),
        ({"password": "", "again": ""}, "password", "required"),
        ({"username": "a b"}, "username", "valid username"),
        ({"role": "boss"}, "role", "not one of the available choices"),
        ({"workspaces": ["nowhere"]}, "workspaces", "not one of the available choices"),
    ],
)
def test_a_user_that_the_api_would_not_make_is_not_made(
    world: World, browse: Browse, fields: dict[str, Any], field: str, problem: str
) -> None:
    fine = {"username": "nina", "password": PASSWORD, "again": PASSWORD, "role": "viewer"}
    refused = browse().add_page(User).send(**{**fine, **fields})
    assert problem in refused.errors[field][0]
    assert PASSWORD not in refused.text
    assert not User.objects.filter(username="nina").exists()


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"env": "nowhere"}, "env", "there is no environment"),
        ({"expires_at_0": "2001-01-01", "expires_at_1": "00:00:00"}, "expires_at", "expected a time to come"),
        ({"workspace": ""}, "workspace", "required"),
        ({"role": ""}, "role", "required"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_a_token_that_the_api_would_not_make_is_not_made(
    world: World, browse: Browse, fields: dict[str, Any], field: str, problem: str
) -> None:
    fine = {"name": "shop", "role": "viewer", "workspace": "default"}
    before = Token.objects.count()
    refused = browse().add_page(Token).send(**{**fine, **fields})
    assert problem in refused.errors[field][0]
    assert Token.objects.count() == before


def test_a_workspace_keeps_a_slug(world: World, browse: Browse) -> None:
    assert "slug" in browse().change_page(world[Workspace]).send(slug="").errors


@pytest.mark.parametrize("model", [Environment, Workspace], ids=lambda model: model.__name__)
def test_what_still_holds_something_is_not_deleted_and_says_what_it_holds(
    world: World, hidden: World, browse: Browse, model: type[Any]
) -> None:
    row = hidden[model]
    browser = browse()
    page = browser.delete(row)
    assert page.response.headers["Location"].endswith(f"/{row.pk}/change/")
    assert any("still holds 1 prompts, 1 agents" in message for message in page.messages)
    assert model.objects.filter(pk=row.pk).exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("operation", "fields", "field", "problem"),
    [
        ("publish", {"version": "v1"}, "version", "taken by different content"),
        ("publish", {"version": "no spaces"}, "version", "expected letters"),
        ("publish", {"note": "n" * 1001}, "note", "at most 1000 characters"),
        ("rollback", {"version": "v9"}, "version", "not one of the available choices"),
        ("rollback", {"version": ""}, "version", "required"),
        ("rollout", {"variant_b": "v1"}, "variant_b", "expected another version than variant_a"),
        ("rollout", {"weight_a": "101"}, "weight_a", "less than or equal to 100"),
        ("rollout", {"weight_a": "33.3333"}, "weight_a", "no more than 3 decimal places"),
        ("rollout", {"weight_a": "nan"}, "weight_a", "Enter a number."),
        ("rollout", {"weight_a": ""}, "weight_a", "required"),
    ],
)
def test_an_operation_that_is_refused_says_so_in_its_form(
    world: World, browse: Browse, operation: str, fields: dict[str, str], field: str, problem: str
) -> None:
    prompt = prompts.update_prompt(actor=SYSTEM, prompt=world[Prompt], content="other")
    page, before = browse(Role.EDITOR).operation(prompt, operation), counts()
    refused = page.send(**fields)
    assert (refused.status, counts()) == (200, before)
    assert problem in refused.errors[field][0]
    assert kept(refused, fields) == {name: value for name, value in fields.items() if value != "v9"}


# --- two at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "change", "typed"),
    [
        (Prompt, lambda row: prompts.update_prompt(actor=SYSTEM, prompt=row, name="Theirs"), {"content": "Mine"}),
        (Agent, lambda row: services.update_agent(actor=SYSTEM, agent=row, name="Theirs"), {"prompt": "Mine"}),
        (
            Workflow,
            lambda row: workflows.update_workflow(actor=SYSTEM, workflow=row, name="Theirs"),
            {"description": "Mine"},
        ),
        (
            Workspace,
            lambda row: workspaces.update_workspace(actor=SYSTEM, workspace=row, name="Theirs"),
            {"slug": "mine"},
        ),
        (
            Environment,
            lambda row: environments.update_environment(actor=SYSTEM, environment=row, require_publish=True),
            {"description": "Mine"},
        ),
        (User, lambda row: users.update_user(actor=SYSTEM, user=row, role="editor"), {"username": "mine"}),
        (User, lambda row: users.update_user(actor=SYSTEM, user=row, workspaces=[]), {"username": "mine"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_of_two_who_edit_at_once_the_second_is_told_and_loses_nothing(
    world: World, browse: Browse, model: type[Any], change: Callable[[Any], Any], typed: dict[str, str]
) -> None:
    browser, row = browse(), world[model]
    page = browser.change_page(row)
    change(model.objects.get(pk=row.pk))
    theirs, before = vars(model.objects.get(pk=row.pk)), counts()
    refused = page.send(**typed)
    assert (refused.status, counts()) == (200, before)
    assert refused.errors["__all__"][0].startswith("Somebody else changed this since you opened it")
    assert kept(refused, typed) == typed
    again = refused.send()
    assert again.status == 200, "sending it again must not overwrite what the other one did"
    assert {**vars(model.objects.get(pk=row.pk)), "_state": None} == {**theirs, "_state": None}
    assert browser.change_page(row).send(**typed).status == 302


def test_who_has_seen_what_the_other_one_saved_may_save_over_it_but_over_nothing_later(
    world: World, browse: Browse
) -> None:
    browser, prompt = browse(Role.EDITOR), world[Prompt]
    page = browser.change_page(prompt)
    theirs = prompts.update_prompt(actor=SYSTEM, prompt=prompt, content="theirs", name="Theirs")
    refused = page.send(content="mine")
    assert [conflict.label for conflict in refused.response.context["conflicts"]] == ["Content", "Name"]
    later = prompts.update_prompt(actor=SYSTEM, prompt=prompt, content="later still")
    again = refused.send(over=theirs.etag)
    assert again.errors["__all__"][0].startswith("Somebody else changed this since you opened it")
    assert Prompt.objects.get().content == "later still"
    assert again.send(over=later.etag, name="Theirs").status == 302
    saved = Prompt.objects.get()
    assert (saved.content, saved.name) == ("mine", "Theirs")


@pytest.mark.parametrize("operation", ["publish", "rollback"])
def test_a_draft_that_changed_under_the_page_is_not_published_or_overwritten_unseen(
    world: World, browse: Browse, operation: str
) -> None:
    browser, prompt = browse(Role.EDITOR), world[Prompt]
    page = browser.operation(prompt, operation)
    prompts.update_prompt(actor=SYSTEM, prompt=prompt, content="typed by somebody else just now")
    before = counts()
    refused = page.send(**({"version": "v1"} if operation == "rollback" else {"note": "Mine"}))
    assert refused.errors["__all__"][0].startswith("Somebody else changed this since you opened it")
    assert counts() == before


@pytest.mark.parametrize("there", [True, False])
def test_a_rollout_that_somebody_else_made_or_changed_meanwhile_is_not_overwritten(
    world: World, browse: Browse, there: bool
) -> None:
    browser, prompt = browse(Role.EDITOR), world[Prompt]
    if not there:
        prompts.delete_rollout(actor=SYSTEM, prompt=prompt)
    page = browser.operation(prompt, "rollout")
    theirs = {"enabled": False, "variant_a": "v1", "variant_b": "v2", "weight_a": 10}
    prompts.set_rollout(actor=SYSTEM, prompt=prompt, values=theirs)
    mine = {"variant_a": "v1", "variant_b": "v2", "weight_a": "90.0"}
    refused = page.send(**mine)
    assert refused.errors["__all__"][0].startswith("Somebody else changed this since you opened it")
    assert kept(refused, mine) == mine
    assert Rollout.objects.get().weight_a == 10
    assert browser.operation(prompt, "rollout").send(**mine).status == 302
    assert Rollout.objects.get().weight_a == 90


def test_a_form_without_the_state_that_it_began_with_is_refused(world: World, browse: Browse) -> None:
    browser = browse()
    for model in (Prompt, Workspace):
        page = browser.change_page(world[model])
        assert "if_match" in page.send(if_match="").errors
    assert "if_match" in browser.operation(world[Prompt], "publish").send(if_match="").errors
