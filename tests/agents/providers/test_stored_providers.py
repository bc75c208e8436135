"""Providers that an admin sets up: a key for a built-in one, or one more. What is stored is never shown."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings
from rest_framework.test import APIClient

from agents.models import ModelProvider
from governance.audit.models import AuditEntry
from tests.agents.upstream import Upstream

KEY = "sk-stored-0123456789-abcdefgh"


def add(client: APIClient, **fields: Any) -> Any:
    return client.post("/api/providers", fields)


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "Hi", **body})


@pytest.fixture
def ours(admin: APIClient, upstream: Upstream, settings: Settings) -> dict[str, Any]:
    """A provider of our own, in our own house, with a key."""
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place]
    made = add(admin, name="ours", label="Our own", base_url=upstream.base_url, default_model="big", api_key=KEY)
    assert made.status_code == 201, made.json()
    data: dict[str, Any] = made.json()["data"]
    return data


def test_a_provider_that_an_admin_adds_is_listed_and_called_with_its_own_key_and_default_model(
    ours: dict[str, Any], viewer: APIClient, editor: APIClient, upstream: Upstream
) -> None:
    listed = viewer.get("/api/playground/providers").json()
    assert listed["data"] == ["mock", "openai", "claude", "ollama", "gemini", "ours"]
    assert listed["details"][-1] == {
        "name": "ours",
        "label": "Our own",
        "default_model": "big",
        "needs_key": False,
        "configured": True,
    }
    assert run(viewer, provider="ours").status_code == 200
    made = editor.post("/api/agents", {"key": "k", "prompt": "Hi", "provider": "ours"}).json()["data"]
    assert editor.post(f"/api/agents/{made['id']}/run", {}).status_code == 200
    assert [request.headers["Authorization"] for request in upstream.requests] == [f"Bearer {KEY}"] * 2
    assert upstream.bodies[0]["model"] == "big"


def test_a_stored_key_is_in_no_answer_no_audit_entry_no_log_and_no_dump_of_the_database(
    ours: dict[str, Any],
    admin: APIClient,
    upstream: Upstream,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin.patch(f"/api/providers/{ours['id']}", {"api_key": KEY + "2"})
    run(admin, provider="ours")
    call_command("dumpdata", "--all")
    pages = [
        admin.get(path).content.decode()
        for path in ("/api/providers", f"/api/providers/{ours['id']}", "/api/audit", "/api/runs", "/api/schema")
    ]
    dump = capsys.readouterr().out
    assert "encrypted_key" in dump
    for place in (dump, caplog.text, json.dumps(ours), *pages):
        assert KEY[:20] not in place
    assert (ours["key_hint"], "api_key" in ours) == ("…efgh", False)


def test_a_change_of_address_asks_for_the_key_again_and_the_old_one_goes_nowhere(
    ours: dict[str, Any], admin: APIClient, canary: Upstream, upstream: Upstream, settings: Settings
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place, canary.place]
    path = f"/api/providers/{ours['id']}"
    refused = admin.patch(path, {"base_url": canary.base_url})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["api_key"])
    assert admin.get(path).json()["data"]["base_url"] == upstream.base_url
    elsewhere = f"{upstream.base_url}/"
    assert admin.patch(path, {"base_url": elsewhere, "api_key": "sk-new"}).status_code == 200
    run(admin, provider="ours")
    assert upstream.requests[-1].headers["Authorization"] == "Bearer sk-new"
    assert admin.patch(path, {"base_url": upstream.base_url, "api_key": ""}).status_code == 200
    run(admin, provider="ours")
    assert "Authorization" not in upstream.requests[-1].headers


def test_a_built_in_provider_takes_a_stored_key_before_the_environments(
    admin: APIClient, viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    made = add(admin, name="openai", api_key=KEY).json()["data"]
    assert viewer.get("/api/playground/providers").json()["data"].count("openai") == 1
    run(viewer, provider="openai")
    admin.delete(f"/api/providers/{made['id']}")
    run(viewer, provider="openai")
    sent = [request.headers["Authorization"] for request in upstream.requests]
    assert sent == [f"Bearer {KEY}", "Bearer sk-environment"]


def test_the_environments_key_does_not_follow_a_built_in_provider_to_an_address_of_an_admins(
    admin: APIClient, viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place]
    assert add(admin, name="openai", base_url=f"{upstream.base_url}/").status_code == 201
    assert (run(viewer, provider="openai").status_code, upstream.requests) == (400, [])
    assert run(viewer, provider="openai", api_key="sk-mine").status_code == 200
    assert upstream.requests[0].headers["Authorization"] == "Bearer sk-mine"


def test_a_key_outlives_a_new_secret_key_only_if_the_former_one_is_named(
    ours: dict[str, Any], viewer: APIClient, upstream: Upstream, settings: Settings
) -> None:
    former, settings.SECRET_KEY = settings.SECRET_KEY, "a" * 50
    refused = run(viewer, provider="ours")
    assert (refused.status_code, "SECRET_KEY was changed" in refused.json()["error"]) == (400, True)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert run(viewer, provider="ours").status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "x", "default_model": "m"}, "base_url"),
        ({"name": "x", "base_url": "https://a.example/v1"}, "default_model"),
        ({"name": "x", "base_url": "http://a.example/v1", "default_model": "m"}, "base_url"),
        ({"name": "x", "base_url": "https://10.0.0.1/v1", "default_model": "m"}, "base_url"),
        ({"name": "mock", "api_key": "k"}, "name"),
        ({"name": "A b"}, "name"),
        ({"name": "openai", "api_key": "a b"}, "api_key"),
        ({"name": "openai", "key": "k"}, "key"),
        ({}, "name"),
    ],
)
def test_a_provider_that_cannot_be_is_refused_and_the_field_is_named(
    admin: APIClient, fields: dict[str, Any], field: str
) -> None:
    refused = add(admin, **fields)
    assert (refused.status_code, field in refused.json()["fields"]) == (400, True)
    assert ModelProvider.objects.count() == 0


def test_a_name_is_taken_once_and_a_provider_that_agents_run_on_stays(
    ours: dict[str, Any], admin: APIClient, editor: APIClient, upstream: Upstream
) -> None:
    again = add(admin, name="ours", base_url=upstream.base_url, default_model="m")
    assert (again.status_code, list(again.json()["fields"])) == (409, ["name"])
    editor.post("/api/agents", {"key": "k", "prompt": "Hi", "provider": "ours"})
    kept = admin.delete(f"/api/providers/{ours['id']}")
    assert (kept.status_code, kept.json()["holds"]) == (409, {"agents": 1})


def test_a_provider_that_agents_or_workflows_run_on_keeps_its_name_and_the_refusal_says_who(
    ours: dict[str, Any], admin: APIClient, editor: APIClient
) -> None:
    path = f"/api/providers/{ours['id']}"
    agent = editor.post("/api/agents", {"key": "helper", "prompt": "Hi", "provider": "ours"}).json()["data"]
    inner = [{"type": "model", "provider": "ours"}]
    steps = [{"type": "render", "template": "a"}, {"type": "map", "steps": inner}]
    deep = editor.post("/api/workflows", {"key": "deep", "steps": steps})
    assert deep.status_code == 201, deep.json()
    flow = editor.post("/api/workflows", {"key": "flow", "steps": inner}).json()["data"]
    editor.post("/api/workflows/publish", {"id": flow["id"]})
    editor.put(f"/api/workflows/{flow['id']}", {"steps": [{"type": "render", "template": "ours"}]})
    for refused in (admin.delete(path), admin.patch(path, {"name": "theirs"})):
        body = refused.json()
        assert (refused.status_code, body["holds"]) == (409, {"agents": 1, "workflows": 2}), body
        assert body["users"] == {"agents": ["helper"], "workflows": ["deep", "flow"]}
        assert "agents helper; workflows deep, flow" in body["error"]
    assert admin.patch(path, {"label": "Still ours"}).status_code == 200
    editor.delete(f"/api/agents/{agent['id']}")
    editor.delete(f"/api/workflows/{deep.json()['data']['id']}")
    assert admin.delete(path).status_code == 409, "what is live runs on it"
    editor.post("/api/workflows/publish", {"id": flow["id"], "version": "v2"})
    assert admin.patch(path, {"name": "theirs"}).status_code == 200
    back = editor.post("/api/workflows/rollback", {"id": flow["id"], "version": "v1"})
    assert (back.status_code, "runs on ours" in back.json()["error"]) == (409, True), back.json()
    assert admin.delete(path).status_code == 200


def test_a_provider_can_not_take_the_name_of_another(
    ours: dict[str, Any], admin: APIClient, upstream: Upstream
) -> None:
    other = add(admin, name="other", base_url=upstream.base_url, default_model="m").json()["data"]
    refused = admin.patch(f"/api/providers/{other['id']}", {"name": "ours"})
    assert (refused.status_code, list(refused.json()["fields"])) == (409, ["name"])


def test_only_admins_of_the_whole_installation_know_of_stored_providers(
    ours: dict[str, Any], viewer: APIClient, editor: APIClient, admin: APIClient
) -> None:
    token = admin.post("/api/tokens", {"name": "t", "role": "admin"}).json()["data"]["token"]
    bound = APIClient(headers={"Authorization": f"Bearer {token}"})
    for client in (viewer, editor, bound):
        assert client.get("/api/providers").status_code == 403
        assert client.patch(f"/api/providers/{ours['id']}", {"label": "x"}).status_code == 403


def test_changes_are_audited_with_the_keys_hint_and_an_edit_of_a_stale_state_is_refused(
    ours: dict[str, Any], admin: APIClient
) -> None:
    path = f"/api/providers/{ours['id']}"
    tag = admin.get(path).headers["ETag"]
    assert (
        admin.patch(path, {"label": "New", "api_key": "sk-" + "z" * 20}, headers={"If-Match": tag}).status_code == 200
    )
    assert admin.patch(path, {"label": "Late"}, headers={"If-Match": tag}).status_code == 412
    entry = AuditEntry.objects.filter(resource="provider", action="update").get()
    assert entry.changes == {
        "label": {"old": "Our own", "new": "New"},
        "key": {"old": "…efgh", "new": "…zzzz"},
    }
