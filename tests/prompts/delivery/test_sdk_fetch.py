"""What applications fetch (contract, section 5): the reference views, over every kind of write and credential."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens
from governance.tenancy.models import Environment, Workspace
from tests.conftest import api

MakePrompt = Callable[..., dict[str, Any]]
Env = Callable[[str], Environment]


def fetch(client: APIClient, key: str = "greeting", **query: str) -> Any:
    return client.get(f"/api/sdk/prompts/{key}", query)


def content(client: APIClient, **query: str) -> str | None:
    """The content that a fetch finds, None for 404."""
    answer = fetch(client, **query)
    return None if answer.status_code == 404 else answer.json()["content"]


def without_id(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def token(workspace: Workspace, env: str | None = None) -> APIClient:
    return api(tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=Role.VIEWER, env=env)[1])


def publish(client: APIClient, prompt: dict[str, Any], **body: Any) -> str:
    answer = client.post("/api/prompts/publish", {"id": prompt["id"], **body})
    assert answer.status_code == 200, answer.json()
    label: str = answer.json()["data"]["version"]
    return label


def test_a_document_is_not_wrapped_and_has_these_fields_in_this_order(
    viewer: APIClient, make_prompt: MakePrompt
) -> None:
    make_prompt(content="Hi {{name}}", model="m-1", config={"b": [1, {"z": 1, "a": 2}], "a": 0.5}, publish=True)
    answer = fetch(viewer)
    assert answer.content.decode() == (
        '{"key":"greeting","version":"v1","env":"prod","model":"m-1","content":"Hi {{name}}",'
        '"config":{"a":0.5,"b":[1,{"a":2,"z":1}]}}'
    )
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_the_environment_is_prod_unless_the_query_names_another(viewer: APIClient, make_prompt: MakePrompt) -> None:
    make_prompt(content="of dev", env="dev")
    assert fetch(viewer).status_code == 404
    assert content(viewer, env="dev") == "of dev"


@pytest.mark.parametrize(
    "known",
    ["{etag}", "W/{etag}", '"other", {etag}', '"other",W/{etag} , "more"', "*", " * "],
)
def test_a_client_that_has_the_document_already_is_answered_304_without_a_body(
    viewer: APIClient, make_prompt: MakePrompt, known: str
) -> None:
    make_prompt(publish=True)
    for path in ("/api/sdk/prompts/greeting", "/api/sdk/prompts"):
        first = viewer.get(path)
        headers = {"If-None-Match": known.format(etag=first.headers["ETag"])}
        again = viewer.get(path, headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        for name in ("ETag", "X-PromptOps-Revision", "Cache-Control"):
            assert again.headers[name] == first.headers[name]


@pytest.mark.parametrize("known", ['"other"', 'W/"other"', "", "nonsense", '"'])
def test_a_client_that_has_something_else_is_answered_200_with_the_document(
    viewer: APIClient, make_prompt: MakePrompt, known: str
) -> None:
    make_prompt()
    assert viewer.get("/api/sdk/prompts/greeting", headers={"If-None-Match": known}).json()["key"] == "greeting"


def test_an_entity_tag_changes_with_the_document_and_only_with_it(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt(content="one", publish=True)
    first = fetch(editor).headers["ETag"]
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two"})
    assert fetch(editor).headers["ETag"] == first
    publish(editor, prompt)
    second = fetch(editor).headers["ETag"]
    assert second != first
    editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v1"})
    assert fetch(editor).headers["ETag"] == first


#: Every kind of write: the request, and what a fetch right after it is served.
WRITES: list[tuple[str, str, str, dict[str, Any], str | None]] = [
    ("a draft that is saved before the first publish", "patch", "/api/prompts/{id}", {"content": "v1 text"}, "v1 text"),
    ("the first publish", "post", "/api/prompts/publish", {"id": "{id}"}, "v1 text"),
    ("a draft that is saved after it", "put", "/api/prompts/{id}", {"content": "v2 text"}, "v1 text"),
    ("the second publish", "post", "/api/prompts/publish", {"id": "{id}"}, "v2 text"),
    ("a rollback", "post", "/api/prompts/rollback", {"id": "{id}", "version": "v1"}, "v1 text"),
    (
        "a rollout",
        "put",
        "/api/prompts/{id}/rollout",
        {"variant_a": "v2", "variant_b": "v1", "weight_a": 100},
        "v2 text",
    ),
    ("its weight", "put", "/api/prompts/{id}/rollout", {"weight_a": 0}, "v1 text"),
    ("its variants", "put", "/api/prompts/{id}/rollout", {"variant_a": "v1", "variant_b": "v2"}, "v2 text"),
    ("its end", "delete", "/api/prompts/{id}/rollout", {}, "v1 text"),
    ("another tag", "patch", "/api/prompts/{id}", {"tags": ["x"]}, "v1 text"),
    ("a delete", "delete", "/api/prompts/{id}", {}, None),
]


def test_a_fetch_right_after_each_kind_of_write_sees_it_and_the_revision_rises_by_one_each_time(
    editor: APIClient, environment: Env
) -> None:
    made = editor.post("/api/prompts", {"key": "greeting", "env": "prod", "content": "first text"})
    identity = made.json()["data"]["id"]
    assert (content(editor), fetch(editor).headers["X-PromptOps-Revision"]) == ("first text", "1")
    for number, (what, method, path, body, expected) in enumerate(WRITES, start=2):
        filled = {name: identity if value == "{id}" else value for name, value in body.items()}
        answer = getattr(editor, method)(path.replace("{id}", identity), filled)
        assert answer.status_code == 200, (what, answer.json())
        assert (what, content(editor)) == (what, expected)
        listed = editor.get("/api/sdk/prompts")
        assert (what, listed.headers["X-PromptOps-Revision"]) == (what, str(number))
        assert environment("prod").revision == number
        if expected is not None:
            assert fetch(editor).headers["X-PromptOps-Revision"] == str(number)


def test_each_environment_counts_its_own_revisions(
    editor: APIClient, make_prompt: MakePrompt, environment: Env
) -> None:
    make_prompt("a", env="dev")
    make_prompt("b", env="dev")
    make_prompt("c", env="prod")
    assert [environment(name).revision for name in ("dev", "test", "prod")] == [2, 0, 1]


def test_a_pinned_version_is_served_whatever_is_live(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt(content="one", publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two"})
    publish(editor, prompt)
    editor.put(f"/api/prompts/{prompt['id']}/rollout", {"variant_a": "v2", "variant_b": "v1", "weight_a": 100})
    pinned = fetch(editor, version="v1")
    assert pinned.json() == {
        "key": "greeting",
        "version": "v1",
        "env": "prod",
        "model": "",
        "content": "one",
        "config": {},
    }
    assert pinned.headers["X-PromptOps-Revision"] == fetch(editor).headers["X-PromptOps-Revision"]


def test_a_version_of_another_prompt_or_environment_or_a_mere_draft_cannot_be_pinned(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    draft = make_prompt(content="draft")
    another = make_prompt("another", publish=True)
    editor.patch(f"/api/prompts/{another['id']}", {"content": "more", "version": "release-7"})
    publish(editor, another, version="release-7")
    dev = make_prompt(env="dev", publish=True)
    publish(editor, dev)
    absent = fetch(editor, "absent")
    for label in ("v1", "release-7", "V1", "v99"):
        assert (label, without_id(fetch(editor, version=label))) == (label, without_id(absent))
    publish(editor, draft)
    assert fetch(editor, version="v1").json()["content"] == "draft"


def test_a_404_says_the_same_of_what_is_not_there_and_of_what_may_not_be_seen(
    viewer: APIClient, admin: APIClient, make_prompt: MakePrompt, workspace: Workspace, other_workspace: Workspace
) -> None:
    make_prompt("deleted")
    secret = admin.post("/api/prompts", {"key": "secret", "env": "prod", "workspace_id": other_workspace.pk})
    publish(admin, secret.json()["data"])
    admin.delete(f"/api/prompts/{make_prompt('gone')['id']}")
    make_prompt("of-dev", env="dev")
    bound = token(workspace, env="prod")
    expected = {"error": "not found", "code": "not_found"}
    for answer in (
        fetch(viewer, "absent"),
        fetch(viewer, "gone"),
        fetch(viewer, "secret"),
        fetch(viewer, "secret", workspace=other_workspace.pk),
        fetch(viewer, "secret", workspace=other_workspace.pk, version="v1"),
        fetch(viewer, "deleted", workspace="no-such-workspace"),
        fetch(viewer, "deleted", env="no-such-env"),
        fetch(bound, "of-dev", env="dev"),
        fetch(bound, "secret", workspace=other_workspace.pk),
        viewer.get("/api/sdk/prompts", {"workspace": other_workspace.pk}),
        viewer.get("/api/sdk/prompts", {"workspace": "no-such-workspace"}),
        viewer.get("/api/sdk/prompts", {"env": "no-such-env"}),
        bound.get("/api/sdk/prompts", {"env": "dev"}),
    ):
        assert (answer.status_code, without_id(answer)) == (404, expected)
        assert "ETag" not in answer.headers


def test_who_sees_several_workspaces_names_one_or_gets_default(
    admin: APIClient, login: Callable[..., APIClient], make_prompt: MakePrompt, other_workspace: Workspace
) -> None:
    make_prompt(content="of default")
    there = {"key": "greeting", "env": "prod", "content": "of other", "workspace_id": other_workspace.pk}
    admin.post("/api/prompts", there)
    member = login(workspaces=["default", other_workspace.pk])
    for client in (admin, member):
        assert content(client) == "of default"
        assert content(client, workspace="default") == "of default"
        assert content(client, workspace=other_workspace.pk) == "of other"


def test_an_api_token_fetches_from_its_own_workspace_and_environment(
    admin: APIClient, make_prompt: MakePrompt, workspace: Workspace, other_workspace: Workspace
) -> None:
    make_prompt(content="default prod")
    make_prompt(content="default dev", env="dev")
    for env in ("prod", "dev"):
        admin.post(
            "/api/prompts",
            {"key": "greeting", "env": env, "content": f"other {env}", "workspace_id": other_workspace.pk},
        )
    assert content(token(other_workspace)) == "other prod"
    assert content(token(other_workspace), env="dev") == "other dev"
    assert content(token(other_workspace), workspace="default") is None
    assert content(token(workspace, env="dev")) == "default dev"
    assert content(token(workspace, env="dev"), env="dev") == "default dev"
    assert content(token(workspace, env="dev"), env="prod") is None
    listed = token(other_workspace, env="dev").get("/api/sdk/prompts").json()
    assert (listed["workspace"], listed["env"]) == (other_workspace.pk, "dev")
    assert [document["content"] for document in listed["data"]] == ["other dev"]


def test_an_environment_is_fetched_in_one_answer_by_key_with_its_epoch_and_revision(
    editor: APIClient, make_prompt: MakePrompt, environment: Env
) -> None:
    make_prompt("b", publish=True)
    make_prompt("a")
    make_prompt("B")
    make_prompt("elsewhere", env="dev")
    answer = editor.get("/api/sdk/prompts")
    body = answer.json()
    assert [document["key"] for document in body["data"]] == ["B", "a", "b"]
    assert body["data"] == [fetch(editor, key).json() for key in ("B", "a", "b")]
    assert {name: body[name] for name in ("revision", "epoch", "env", "workspace")} == {
        "revision": 4,
        "epoch": environment("prod").epoch,
        "env": "prod",
        "workspace": "default",
    }
    assert answer.headers["X-PromptOps-Revision"] == "4"


def test_an_environments_entity_tag_stays_while_drafts_are_saved_and_changes_with_what_is_served(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(publish=True)
    first = editor.get("/api/sdk/prompts")
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "a draft"})
    known = {"If-None-Match": first.headers["ETag"]}
    assert editor.get("/api/sdk/prompts", headers=known).status_code == 304
    publish(editor, prompt)
    second = editor.get("/api/sdk/prompts", headers=known)
    assert (second.status_code, second.json()["data"][0]["content"]) == (200, "a draft")


def test_a_rollout_is_in_the_environments_document_with_both_variants_and_no_pick(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two"})
    publish(editor, prompt)
    path = f"/api/prompts/{prompt['id']}/rollout"
    made = editor.put(path, {"variant_a": "v2", "variant_b": "v1", "weight_a": 12.5}).json()["data"]

    def document(version: str, text: str) -> dict[str, Any]:
        return {"key": "greeting", "version": version, "env": "prod", "model": "", "content": text, "config": {}}

    [listed] = editor.get("/api/sdk/prompts").json()["data"]
    assert listed == {
        **document("v2", "two"),
        "rollout": {
            "seed": made["seed"],
            "weight_a": 12.5,
            "variants": {"A": document("v2", "two"), "B": document("v1", "one")},
        },
    }
    editor.put(path, {"enabled": False})
    assert editor.get("/api/sdk/prompts").json()["data"] == [document("v2", "two")]


@pytest.mark.parametrize("rollout", [False, True])
def test_a_fetch_costs_two_queries_at_most(
    static: APIClient,
    editor: APIClient,
    workspace: Workspace,
    make_prompt: MakePrompt,
    django_assert_max_num_queries: Any,
    rollout: bool,
) -> None:
    prompt = make_prompt(publish=True)
    if rollout:
        editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two"})
        publish(editor, prompt)
        editor.put(f"/api/prompts/{prompt['id']}/rollout", {"variant_a": "v2", "variant_b": "v1", "weight_a": 50})
    app = token(workspace)
    for client, at_most in ((static, 1), (editor, 2), (app, 2)):
        with django_assert_max_num_queries(at_most):
            assert fetch(client, unit="u").status_code == 200
