"""The back office: which pages open to whom, and what is on them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.models import Agent
from governance.access.actors import SYSTEM
from governance.access.models import AccessRevision
from governance.access.permissions import ADMIN_MODELS
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.clients.models import Connection
from governance.core.models import ServerProcess
from governance.identity import users
from governance.identity.models import User
from governance.tenancy import environments, workspaces
from governance.tenancy.models import Environment, Workspace
from prompts.models import Prompt, PromptVersion
from tests.promptops.admin.browser import Browser, url
from tests.promptops.admin.conftest import World
from tests.promptops.admin.world import HOSTILE, populate
from workflows.models import Workflow

MODELS = list(admin.site._registry)
OURS = {"governance", "prompts", "agents", "workflows"}
ROLES = list(Role.values)

#: The least role for a model's list and page, for adding one, for changing one, for deleting one; - is nobody.
PAGES = {
    "prompts.prompt": "viewer editor editor editor",
    "prompts.promptversion": "viewer - - -",
    "prompts.prompttag": "viewer - - -",
    "prompts.rollout": "viewer - - -",
    "agents.agent": "viewer editor editor editor",
    "agents.agentsession": "admin - - -",
    "agents.agentmessage": "admin - - -",
    "agents.modelprovider": "admin admin admin admin",
    "workflows.workflow": "viewer editor editor editor",
    "workflows.workflowversion": "viewer - - -",
    "governance.workspace": "viewer editor editor admin",
    "governance.environment": "viewer admin admin admin",
    "governance.user": "admin admin admin admin",
    "governance.membership": "admin - - -",
    "governance.token": "admin admin - admin",
    "governance.auditentry": "viewer - - -",
    "governance.change": "viewer - - -",
    "governance.run": "viewer - - -",
    "workflows.workflowrun": "viewer - - -",
    "workflows.stepattempt": "viewer - - -",
    "workflows.workflowworker": "admin - - -",
    "workflows.schedule": "viewer editor editor editor",
    "workflows.webhook": "viewer editor editor editor",
    "workflows.delivery": "editor - - -",
    "governance.runcontent": "viewer - - -",
    "governance.runfeedback": "viewer - - -",
    "governance.runtally": "viewer - - -",
    "governance.logcount": "viewer - - -",
    "governance.connection": "viewer - - -",
    "governance.serverprocess": "viewer - - -",
    "governance.accessrevision": "admin - - -",
    "governance.loginfailures": "admin - - admin",
}

Browse = Callable[..., Browser]


def label(model: type[Model]) -> str:
    return model._meta.label_lower


def may(role: str, model: type[Model], page: str) -> bool:
    least = PAGES[label(model)].split()[["view", "add", "change", "delete"].index(page)]
    return least != "-" and Role(role).covers(Role(least))


def test_every_model_of_ours_and_nothing_that_has_no_meaning_here_is_in_the_admin() -> None:
    there = {label(model) for model in MODELS}
    assert there == PAGES.keys()
    ours = {label(model) for app in OURS for model in apps.get_app_config(app).get_models()}
    assert ours - there == {"prompts.prompttext"}  # a prompt's own words again, as the search reads them
    assert there >= ADMIN_MODELS.keys()


@pytest.mark.parametrize("role", ROLES)
def test_a_page_opens_to_those_whom_the_table_of_permissions_allows(world: World, browse: Browse, role: str) -> None:
    browser = browse(role)
    opened = {}
    for model in MODELS:
        row = world[model]
        pages = {
            "list": browser.list_page(model),
            "add": browser.add_page(model),
            "page": browser.change_page(row),
            "save": browser.post(url(row, "change"), {}),
            "history": browser.open(url(row, "history")),
            "delete": browser.open(url(row, "delete")),
        }
        redirecting = {"save", "history"}
        assert {page.status for name, page in pages.items() if name not in redirecting} <= {200, 403}, label(model)
        assert {pages[name].status for name in redirecting} <= {200, 302, 403}, label(model)
        opened[label(model)] = {name: page.status != 403 for name, page in pages.items()}
    wanted = {
        "list": "view",
        "add": "add",
        "page": "view",
        "save": "change",
        "history": "view",
        "delete": "delete",
    }
    assert opened == {label(model): {name: may(role, model, page) for name, page in wanted.items()} for model in MODELS}


@pytest.mark.parametrize("role", ROLES)
def test_the_index_lists_what_one_may_see(world: World, browse: Browse, role: str) -> None:
    text = browse(role).open(reverse("admin:index")).text
    for model in MODELS:
        assert (f'href="{url(model, "changelist")}"' in text) is may(role, model, "view"), label(model)


def test_who_is_not_logged_in_is_sent_to_the_login(world: World) -> None:
    answer = Browser().client.get(url(Prompt, "changelist"))
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/admin/login/")


def test_who_was_shut_out_is_sent_to_the_login_from_the_next_page_on(make_user: Any) -> None:
    browser = Browser(make_user(Role.EDITOR))
    assert browser.list_page(Prompt).status == 200
    assert browser.user is not None
    users.update_user(actor=SYSTEM, user=browser.user, is_active=False)
    assert browser.list_page(Prompt).status == 302


OPERATIONS = ("publish", "rollback", "copy", "rollout", "end-rollout", "finish-rollout")


def test_what_people_typed_is_text_and_never_markup(world: World, browse: Browse) -> None:
    browser = browse()
    for model in MODELS:
        row = world[model]
        shown = [browser.list_page(model), browser.change_page(row)]
        asked = [browser.open(url(row, "delete"))]
        if model is Prompt:
            asked += [browser.operation(row, operation) for operation in (*OPERATIONS, "versions")]
        assert not [page.path for page in [*shown, *asked] if "<script>" in page.text]
        typed = any("<script>" in str(value) for value in vars(row).values())
        assert typed is any("&lt;script&gt;" in page.text for page in shown), label(model)


def test_no_page_has_a_script_style_or_handler_of_its_own_which_the_policy_would_refuse(
    world: World, browse: Browse
) -> None:
    browser = browse()
    for model in MODELS:
        row = world[model]
        pages = [browser.list_page(model), browser.change_page(row), browser.open(url(row, "delete"))]
        pages += [browser.add_page(model)] if may(Role.ADMIN, model, "add") else []
        operations = (*OPERATIONS, "versions") if model is Prompt else ()
        pages += [browser.operation(row, operation) for operation in operations]
        for page in pages:
            inline = re.findall(r'<style|<script(?![^>]*src=)[^>]*>|<[^>]* (?:style|on[a-z]+)="[^>]*>', page.text)
            assert not inline, page.path


def test_a_list_asks_the_database_as_often_for_three_rows_as_for_one(
    world: World, workspace: Workspace, browse: Browse, make_user: Any
) -> None:
    browser = browse()

    def look() -> tuple[dict[str, int], dict[str, int]]:
        queries, rows = {}, {}
        for model in MODELS:
            with CaptureQueriesContext(connection) as captured:
                page = browser.list_page(model)
            queries[label(model)], rows[label(model)] = len(captured), page.response.context["cl"].result_count
        return queries, rows

    queries, rows = look()
    for number in (1, 2):
        environments.create_environment(actor=SYSTEM, workspace=workspace, name=f"stage{number}")
        populate(workspace, make_user(username=f"member{number}"), suffix=f"{number}")
        room = workspaces.create_workspace(actor=SYSTEM, name=f"Room {number}")
        populate(room, make_user(username=f"guest{number}", workspaces=[room.pk]), suffix=f"-room{number}")
    queries_then, rows_then = look()
    assert queries_then == queries
    fewer = {name for name in rows if rows_then[name] < rows[name] + 2}
    assert fewer == {"governance.accessrevision"}  # there is one row, always


# --- other people's workspaces ------------------------------------------------------------------------------------

SCOPED = [model for model in MODELS if hasattr(model, "workspace_path")]


@pytest.mark.parametrize("role", [Role.EDITOR, Role.ADMIN])
def test_nothing_of_another_workspace_is_on_a_list_or_among_the_choices_of_a_form(
    world: World, hidden: World, browse: Browse, role: Role
) -> None:
    browser = browse(role)
    listed = set()
    for model in SCOPED:
        pages = [browser.list_page(model), browser.add_page(model), browser.change_page(world[model])]
        if role is Role.EDITOR:
            assert not [page.path for page in pages if "xyzzy" in page.text]
        if url(hidden[model], "change") in pages[0].text:
            listed.add(model)
    assert listed == (set(SCOPED) if role is Role.ADMIN else set())


def test_a_row_of_another_workspace_is_not_there(world: World, hidden: World, browse: Browse) -> None:
    editor, admin_browser = browse(Role.EDITOR), browse(Role.ADMIN)
    for model in SCOPED:
        row = hidden[model]
        assert admin_browser.change_page(row).status == 200
        answers = [
            editor.change_page(row),
            editor.open(url(row, "history")),
            editor.open(url(row, "delete")),
            editor.post(url(row, "change"), {"name": "mine"}),
            editor.delete(row),
        ]
        if model is Prompt:
            answers += [editor.operation(row, name) for name in (*OPERATIONS, "versions")]
            answers += [editor.post(url(row, name), {"version": "v1"}) for name in OPERATIONS]
        for answer in answers:
            assert answer.status == 403 or answer.response.headers["Location"] == "/admin/", label(model)
        assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize(("model", "field"), [(Prompt, "environment"), (Agent, "environment"), (Workflow, "workspace")])
def test_a_foreign_key_to_another_workspace_is_no_choice_even_when_it_is_sent(
    world: World, hidden: World, browse: Browse, model: type[Model], field: str
) -> None:
    place: Any = hidden[Environment if field == "environment" else Workspace]
    sent = browse(Role.EDITOR).add_page(model).send(key="intruder", prompt="x", steps="[]", **{field: str(place.pk)})
    assert (sent.status, next(iter(sent.errors))) == (200, field)
    assert not model._default_manager.filter(key="intruder").exists()


def test_what_lives_in_an_environment_moves_within_its_workspace_alone(
    world: World, hidden: World, browse: Any
) -> None:
    admin_browser = browse(Role.ADMIN)
    page = admin_browser.change_page(world[Prompt])
    offered = page.response.context["adminform"].form.fields["environment"].queryset
    assert {environment.workspace_id for environment in offered} == {"default"}
    refused = page.send(environment=str(hidden[Environment].pk))
    assert list(refused.errors) == ["environment"]


@pytest.mark.parametrize(
    ("model", "field"), [("prompts.prompt", "environment"), ("governance.environment", "workspace")]
)
def test_autocomplete_offers_what_one_may_see(
    world: World, hidden: World, browse: Browse, model: str, field: str
) -> None:
    app, name = model.split(".")
    target: Any = hidden[Environment if field == "environment" else Workspace]
    for role in (Role.EDITOR, Role.ADMIN):
        query = {"app_label": app, "model_name": name, "field_name": field}
        results = browse(role).open(reverse("admin:autocomplete"), **query).response.json()["results"]
        assert (str(target.pk) in {result["id"] for result in results}) is (role is Role.ADMIN)
        assert len(results) >= 1


def test_an_action_reaches_no_row_of_another_workspace(world: World, hidden: World, browse: Browse) -> None:
    before = AuditEntry.objects.filter(action__in=["delete", "publish"]).count()
    browse(Role.EDITOR).act("delete_selected", hidden[Prompt], post="yes")
    browse(Role.EDITOR).act("publish_selected", hidden[Prompt])
    assert Prompt.objects.filter(pk=hidden[Prompt].pk).exists()
    assert AuditEntry.objects.filter(action__in=["delete", "publish"]).count() == before


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("governance_user", "password__startswith"),
        ("governance_token", "digest__startswith"),
        ("governance_token", "user__password__startswith"),
        ("prompts_prompt", "environment__workspace__tokens__digest__startswith"),
    ],
)
def test_no_filter_in_the_address_finds_out_a_secret(world: World, browse: Browse, model: str, lookup: str) -> None:
    assert browse(Role.ADMIN).open(reverse(f"admin:{model}_changelist"), **{lookup: "a"}).status == 400


# --- lists --------------------------------------------------------------------------------------------------------


def keys(page: Any) -> list[str]:
    return [row.key for row in page.response.context["cl"].result_list]


def test_prompts_are_found_by_filter_and_by_search(world: World, hidden: World, browse: Browse, editor: Any) -> None:
    for key, env, tags in (("plain", "dev", ["blue", "Äblue"]), ("modified", "prod", [])):
        made = editor.post("/api/prompts", {"key": key, "env": env, "tags": tags, "content": f"about {key}"})
        assert made.status_code == 201
    editor.post("/api/prompts/publish", {"id": made.json()["data"]["id"]})
    editor.patch(f"/api/prompts/{made.json()['data']['id']}", {"content": "about change"})
    browser = browse(Role.ADMIN)
    for query, expected in (
        ({"q": "blue"}, ["plain"]),
        ({"q": "about"}, ["modified", "plain"]),
        ({"q": "ABOUT äBLUE"}, ["plain"]),
        ({"env": "dev"}, ["plain"]),
        ({"status": "draft"}, ["plain"]),
        ({"status": "modified"}, ["modified"]),
        ({"status": "published"}, ["greeting", "greeting-xyzzy"]),
        ({"workspace": "default", "status": "published"}, ["greeting"]),
        ({"category": HOSTILE}, ["greeting", "greeting-xyzzy"]),
    ):
        assert sorted(keys(browser.list_page(Prompt, **query))) == expected, query


@pytest.mark.parametrize("model", [Prompt, Connection, PromptVersion])
@pytest.mark.parametrize("asked", ["a" * 201, "a " * 11], ids=["too long", "too many words"])
def test_a_search_for_too_much_finds_nothing_and_says_what_is_allowed(
    world: World, browse: Browse, model: type[Model], asked: str
) -> None:
    page = browse(Role.ADMIN).list_page(model, q=asked)
    assert page.response.context["cl"].result_count == 0
    assert "at most 200 characters and 10 words" in page.response.content.decode()


def test_the_draft_is_made_a_version_of_from_its_page_and_nothing_that_is_served_changes(
    world: World, browse: Browse, editor: Any
) -> None:
    prompt: Any = world[Prompt]
    editor.patch(f"/api/prompts/{prompt.pk}", {"content": "kept for later"})
    path = url(prompt, "snapshot")
    assert browse(Role.VIEWER).open(path).status == 403
    browser = browse(Role.EDITOR)
    assert path in browser.open(url(prompt, "change")).response.content.decode()
    before = Prompt.objects.get(pk=prompt.pk)
    seen = {"if_match": before.etag}
    refused = browser.client.post(path, {**seen, "version": "live", "note": ""})
    assert (refused.status_code, "words of the API" in refused.content.decode()) == (200, True)
    versions = prompt.versions.count()
    assert browser.client.post(path, {**seen, "version": "kept", "note": "for later"}).status_code == 302
    made = prompt.versions.get(label="kept")
    assert (made.content, made.note, prompt.versions.count()) == ("kept for later", "for later", versions + 1)
    assert Prompt.objects.get(pk=prompt.pk).live_id == before.live_id


def test_a_list_is_ordered_by_what_its_columns_are_made_of(world: World, hidden: World, browse: Any) -> None:
    browser = browse(Role.ADMIN)
    assert keys(browser.list_page(Prompt, o="3")) == ["greeting", "greeting-xyzzy"]
    assert keys(browser.list_page(Prompt, o="-3")) == ["greeting-xyzzy", "greeting"]


def test_history_is_the_audit_log_of_that_row_with_what_the_api_did(world: World, browse: Browse, editor: Any) -> None:
    prompt: Any = world[Prompt]
    editor.patch(f"/api/prompts/{prompt.pk}", {"name": "By the API"})
    browser = browse(Role.VIEWER)
    answer = browser.open(url(prompt, "history"))
    assert answer.status == 302
    entries = browser.open(answer.response.headers["Location"]).response.context["cl"].result_list
    assert {entry.resource_id for entry in entries} == {str(prompt.pk)}
    assert entries[0].changes["name"] == {"old": HOSTILE, "new": "By the API"}


def test_a_connection_of_a_process_that_is_gone_is_not_listed(world: World, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    assert browser.list_page(Connection).response.context["cl"].result_count == 1
    process: Any = world[ServerProcess]
    ServerProcess.objects.filter(pk=process.pk).update(seen_at=process.started_at.replace(year=2000))
    assert browser.list_page(Connection).response.context["cl"].result_count == 0


def test_an_audit_entry_and_a_change_show_what_they_hold(world: World, browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    entry = AuditEntry.objects.filter(resource="prompt", action="update")[0]
    shown = browser.change_page(entry).text
    unchanged = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; "
    assert f'<td class="removed">{unchanged}<del>{{{{name}}}}</del></td>' in shown
    assert f'<td class="added">{unchanged}<ins>again</ins></td>' in shown
    assert '<td class="removed"><del>  and more</del></td>' in shown
    change = Change.objects.filter(document__isnull=False).first()
    assert change is not None
    assert "&quot;content&quot;" in browser.change_page(change).text


def test_what_is_refused_or_not_there_is_a_page_in_the_admin_and_json_elsewhere(browse: Browse) -> None:
    browser = browse(Role.VIEWER)
    for path, status, sentence in (
        ("/admin/governance/user/", 403, "Forbidden"),
        ("/admin/nowhere/", 404, "Not found"),
        ("/admin/prompts/prompt/?environment__workspace__tokens__digest=x", 400, "Bad request"),
    ):
        answer = browser.client.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert f"<h1>{sentence}</h1>" in answer.content.decode()
        assert answer.headers["X-Request-ID"] in answer.content.decode()
    assert browser.client.get("/nowhere").json()["error"] == "not found"


def test_an_unexpected_error_is_a_page_that_tells_nothing_of_it(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a secret")

    browser = browse(Role.VIEWER)
    browser.client.raise_request_exception = False
    monkeypatch.setattr(admin.site._registry[Prompt], "get_queryset", broken)
    answer = browser.client.get(url(Prompt, "changelist"))
    assert answer.status_code == 500
    assert "Internal error: report it with this request_id" in answer.content.decode()
    assert "a secret" not in answer.content.decode()


def test_a_choice_has_no_buttons_that_add_or_delete_what_is_chosen(world: World, browse: Browse) -> None:
    page = browse(Role.ADMIN).change_page(world[Prompt])
    assert 'name="environment"' in page.text
    assert "related-widget-wrapper" not in page.text


ODD = [
    {"created_at__year": "abc"},
    {"created_at__month": "99"},
    {"o": "abc"},
    {"o": "99.-99"},
    {"p": "abc"},
    {"p": "99999999999999999999"},
    {"id__exact": "zzz"},
    {"pk__in": "zzz,1"},
    {"id": "9" * 40},
    {"environment__id__exact": "zzz"},
    {"prompt__id__exact": "zzz"},
    {"is_active__exact": "maybe"},
    {"resource_id": "zzz"},
    {"revision": "9" * 40},
    {"workspace": "nowhere"},
    {"env": "nowhere"},
    {"status": "nowhere"},
    {"q": "100% '\"\\ _ ("},
    {"q": "É("},
    {"q": "x" * 5000},
    {"all": ""},
    {"_facets": "True"},
    {"_popup": "1", "_to_field": "nowhere"},
    {"nowhere": "1"},
]


#: One model of each kind of id, of filter, of search.
KINDS: list[type[Model]] = [Prompt, PromptVersion, Change, AuditEntry, User, Workspace, AccessRevision]


def test_no_query_that_somebody_types_into_the_address_is_a_crash(world: World, browse: Browse) -> None:
    browser = browse()
    answers = {(label(model), str(query)): browser.list_page(model, **query) for model in KINDS for query in ODD}
    assert {name: page.status for name, page in answers.items() if page.status not in {200, 302, 400}} == {}


def test_no_id_that_somebody_types_into_the_address_is_a_crash(world: World, browse: Browse) -> None:
    browser = browse()
    for model in KINDS:
        for odd in ("zzz", "9" * 40, "_5F..%2F", "%00"):
            for page in ("", "change/", "delete/", "history/", "publish/", "password/"):
                answer = browser.client.get(f"{url(model, 'changelist')}{odd}/{page}")
                assert answer.status_code in {301, 302, 400, 403, 404}
