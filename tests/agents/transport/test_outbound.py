"""Addresses that come with a request (contract, section 7): only those an admin allowed, and never a stored key."""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from governance.runs.models import Run
from tests.agents.upstream import Upstream


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "x", "provider": "openai", **body})


@pytest.fixture(autouse=True)
def _stored_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-stored")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-stored-too")


def test_an_address_that_no_admin_allowed_is_refused_and_not_called(
    viewer: APIClient, admin: APIClient, canary: Upstream, upstream: Upstream
) -> None:
    for client in (viewer, admin):
        refused = run(client, base_url=canary.base_url, api_key="sk-mine")
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["base_url"])
        assert canary.place in refused.json()["error"]
        assert "PROMPTOPS_OUTBOUND_ALLOW" in refused.json()["error"]
    assert (Run.objects.count(), upstream.requests) == (0, [])


@pytest.mark.parametrize("key", [None, "sk-mine"])
@pytest.mark.parametrize("provider", ["openai", "claude", "ollama"])
def test_an_allowed_address_is_called_with_the_requests_key_and_never_with_a_stored_one(
    viewer: APIClient, upstream: Upstream, canary: Upstream, settings: Settings, provider: str, key: str | None
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = ["other.example:443", f" {upstream.place} "]
    elsewhere = {"base_url": upstream.base_url, **({"api_key": key} if key else {})}
    answer = run(viewer, provider=provider, **elsewhere)
    assert answer.status_code == 200, answer.json()
    [request] = upstream.requests
    assert request.headers.get("Authorization") == (f"Bearer {key}" if key else None)
    assert "sk-stored" not in str(request.headers)


def test_an_allowed_place_may_not_send_us_on_to_another(
    viewer: APIClient, upstream: Upstream, canary: Upstream, settings: Settings
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place]
    upstream.server.clear()
    upstream.server.expect_request("/v1/chat/completions").respond_with_data(
        "", status=307, headers={"Location": f"{canary.base_url}/chat/completions"}
    )
    assert run(viewer, base_url=upstream.base_url, api_key="sk-mine").status_code == 502


@pytest.mark.parametrize(
    "url",
    [
        "http://allowed.example:8080/v1",
        "https://allowed.example/v1",
        "http://sub.allowed.example:80/v1",
        "http://allowed.example.:80/v1",
        "http://other.example:80/allowed.example:80",
        "http://allowed.example:80@other.example/v1",
        "http://allowed.example:80\\@other.example/v1",
        "http://other.example:80#@allowed.example:80/",
        "http://other.example:80?@allowed.example:80/",
        "http://user:password@allowed.example:80/v1",
        "http://@allowed.example:80/v1",
        "http://allowed.example:80/v1?x=1",
        "http://allowed.example:80/v1#x",
        "http://allowed.example:80\t.other.example/v1",
        " http://allowed.example:80/v1",
        "http://allowed.example:80/v1\n",
        "http://allowed.exämple:80/v1",
        "http://allowed.example:99999/v1",
        "http://allowed.example:x/v1",
        "http://allowed.example:0/v1",
        "http://127.0.0.1:80/v1",
        "http://[::1]:80/v1",
        "http://[::1/v1",
        "http://2130706433/v1",
        "ftp://allowed.example:80/v1",
        "file:///etc/passwd",
        "//allowed.example:80/v1",
        "allowed.example:80/v1",
        "http:///v1",
        "http://",
        " ",
        5,
        None,
    ],
    ids=repr,
)
def test_an_address_that_only_looks_like_an_allowed_one_is_refused(
    viewer: APIClient, settings: Settings, url: Any
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = ["allowed.example:80"]
    refused = run(viewer, base_url=url, api_key="sk-mine")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["base_url"])
    assert Run.objects.count() == 0


def test_a_host_is_allowed_whatever_the_case_of_its_letters_and_by_its_schemes_own_port(
    viewer: APIClient, settings: Settings
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = ["Allowed.INVALID:80", "[::1]:1"]
    for url in ("http://allowed.invalid/v1", "http://ALLOWED.invalid:80/v1", "http://[::1]:1/v1"):
        answer = run(viewer, base_url=url)
        assert (answer.status_code, "could not be reached" in answer.json()["error"]) == (502, True)
