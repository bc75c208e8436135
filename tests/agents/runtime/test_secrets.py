"""Secrets that are put in wherever one can be put in, and looked for wherever something comes out."""

import json
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from werkzeug import Request, Response

from tests.agents.upstream import Upstream
from tests.faults.tools.support import installation
from tests.servers import Server

#: Recognisable, and each of its own.
SEEDS = {
    name: f"seed-{name}-Zq7Xv2Lm9"
    for name in (
        "of-the-environment",
        "of-the-settings",
        "static-token",
        "stored-provider-key",
        "former-provider-key",
        "request-key",
        "variant-key",
        "password",
        "former-password",
        "wrong-password",
        "wrong-token",
        "tool-header",
        "former-tool-header",
    )
}


def echo(request: Request) -> Response:
    """A place that repeats what it was sent, keys included."""
    told = f"{request.headers.get('Authorization')} {request.headers.get('X-Key')} is not known here"
    if request.method == "GET":
        return Response(told)
    return Response(json.dumps({"error": {"message": told}}), 401, content_type="application/json")


def seed(client: httpx.Client, server: Server, place: Upstream) -> dict[str, str]:
    """Put them in and let things run; returns the secrets that the server made itself."""

    def post(path: str, status: int = 200, **body: Any) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    client.put("/api/workspaces/default", json={"keep_content": True}).raise_for_status()
    house: dict[str, Any] = {"name": "house", "base_url": f"{place.base_url}", "default_model": "m"}
    stored = post("/api/providers", 201, **house, api_key=SEEDS["former-provider-key"])["data"]
    key = {"api_key": SEEDS["stored-provider-key"]}
    client.patch(f"/api/providers/{stored['id']}", json=key).raise_for_status()
    run: dict[str, Any] = {"content": "Hi"}
    post("/api/playground/run", 502, **run, provider="house")
    post("/api/playground/run", 502, **run, provider="openai")
    post("/api/playground/run", 502, **run, provider="openai", api_key=SEEDS["request-key"])
    variants = [{"provider": "openai", "api_key": SEEDS["variant-key"]}, {"provider": "mock"}]
    assert "error" in post("/api/playground/run", **run, variants=variants)["variants"][0]
    post("/api/playground/run", 400, **run, provider="openai", api_key=f"{SEEDS['request-key']} and more")
    post("/api/playground/run", 502, **run, provider="openai", api_key=SEEDS["request-key"], stream=True)

    tool = {"type": "http", "name": "look", "url": f"{place.base_url}/chat/completions"}
    body: dict[str, Any] = {"key": "a", "prompt": "@call look", "model": "mock-script"}
    agent = post("/api/agents", 201, **body, tools=[{**tool, "headers": {"X-Key": SEEDS["former-tool-header"]}}])
    path = f"/api/agents/{agent['data']['id']}"
    tools = [{**tool, "headers": {"X-Key": SEEDS["tool-header"]}}]
    client.patch(path, json={"tools": tools}).raise_for_status()
    ran = post(f"{path}/run", session_id="chat")
    assert "[X-Key] is not known here" in ran["turns"][0]["tools"][0]["output"]
    client.patch(path, json={"tools": [{**tool, "headers": {"X-Key": "…"}, "url": "https://a.example/"}]})

    user = post("/api/users", 201, username="ada", password=SEEDS["former-password"])["data"]
    client.put(f"/api/users/{user['id']}", json={"password": SEEDS["password"]}).raise_for_status()
    session = post("/api/login", username="ada", password=SEEDS["password"])["token"]
    post("/api/login", 401, username="ada", password=SEEDS["wrong-password"])
    post("/api/login", 401, token=SEEDS["wrong-token"])
    api = post("/api/tokens", 201, name="app", role="viewer")["data"]["token"]
    for secret in (session, api, SEEDS["static-token"]):
        with connect(server.stream_url(secret, namespace="prod", since=0)) as socket:
            socket.recv(timeout=10)
        assert httpx.get(f"{server.url}/api/me?token={secret}").status_code == 401
    return {"session": session, "api token": api}


def everything(client: httpx.Client, server: Server) -> dict[str, str]:
    """All that comes out, by the place."""
    runs = client.get("/api/runs", params={"limit": 200}).json()["data"]
    assert {run["source"] for run in runs} == {"playground", "agent", "tool"}
    pages = [
        "/metrics",
        "/api/schema",
        "/api/audit?limit=200",
        "/api/runs?limit=200",
        "/api/runs/stats",
        "/api/providers",
        "/api/playground/providers",
        "/api/agents",
        *(f"/api/agents/{agent['id']}/sessions/chat" for agent in client.get("/api/agents").json()["data"]),
        "/api/users",
        "/api/tokens",
        "/api/me",
        "/api/clients",
        *(f"/api/runs/{run['id']}" for run in runs),
    ]
    found = {}
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        found[page] = answer.text
    found["database"] = server.manage("dumpdata")
    assert '"model": "agents.agent"' in found["database"]
    assert '"model": "governance.token"' in found["database"]
    found["log"] = server.log.read_text()
    assert "/ws?[left out]" in found["log"]
    return found


def test_no_secret_comes_out_anywhere(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> None:
    upstream.answers(echo)
    variables = {
        "OPENAI_API_KEY": SEEDS["of-the-environment"],
        "SECRET_KEY": SEEDS["of-the-settings"] * 3,
        "PROMPTOPS_TOKEN": SEEDS["static-token"],
        "PROMPTOPS_OPENAI_BASE_URL": upstream.base_url,
        "PROMPTOPS_OUTBOUND_ALLOW": upstream.place,
        "PROMPTOPS_PROVIDER_RETRIES": "0",
        "PROMPTOPS_LOG_LEVEL": "DEBUG",
    }
    with installation(tmp_path_factory, **variables) as server, server.client(SEEDS["static-token"]) as client:
        made = seed(client, server, upstream)
        outputs = everything(client, server)
    used = str([dict(request.headers) for request in upstream.requests])
    for name in ("of-the-environment", "stored-provider-key", "request-key", "variant-key", "tool-header"):
        assert SEEDS[name] in used, f"{name} was never used, so that it is not found says nothing"
    leaks = [
        (name, place) for name, secret in {**SEEDS, **made}.items() for place, text in outputs.items() if secret in text
    ]
    assert leaks == []
