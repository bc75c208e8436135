"""The fast lane answers exactly as the views do, or leaves it to them.

Each case goes to a real server twice: as it is, and with an `Origin`, which the lane leaves to the views.
"""

import functools
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import Server, running

SAME_HEADERS = ("etag", "x-promptops-revision", "cache-control", "content-type")
BY_A_VIEW = {"Origin": "http://elsewhere.example"}
KEYS = ["plain", "rolled", "draft", "unicode.ü-less:key"]


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def make(client: httpx.Client, key: str, *contents: str, **fields: Any) -> str:
    """A prompt in prod, published once for each of `contents` after the first."""
    prompt = post(client, "/api/prompts", {"key": key, "env": "prod", "content": contents[0], **fields})
    for content in contents[1:]:
        client.put(f"/api/prompts/{prompt['id']}", json={"content": content}).raise_for_status()
        post(client, "/api/prompts/publish", {"id": prompt["id"]})
    return str(prompt["id"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Every case is tried with a wrong token too, all of them from one address.
    many = "10000"
    with running(
        Path(tmp_path_factory.mktemp("lane")),
        PROMPTOPS_LOGIN_FAILURES_PER_ADDRESS=many,
        PROMPTOPS_LOGIN_FAILURES_IN_ALL=many,
    ) as started:
        yield started


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """Secrets by what they may see."""
    with server.client() as client:
        make(client, "plain", "x", "one", "two", config={"b": 1, "a": {"z": 1, "y": [1.0, "é"]}}, model="m")
        make(client, "draft", "never published")
        rolled = make(client, "rolled", "x", "variant a", "variant b")
        rollout = {"variant_a": "v1", "variant_b": "v2", "weight_a": 40, "enabled": True}
        client.put(f"/api/prompts/{rolled}/rollout", json=rollout).raise_for_status()
        other = post(client, "/api/workspaces", {"name": "Other"})["id"]
        secrets = {"static": client.headers["Authorization"].removeprefix("Bearer ")}
        for name, fields in {
            "api": {},
            "bound to prod": {"env": "prod"},
            "bound to dev": {"env": "dev"},
            "of another workspace": {"workspace_id": other},
        }.items():
            secrets[name] = post(client, "/api/tokens", {"name": name, "role": "viewer", **fields})["token"]
        client.post("/api/users", json={"username": "ada", "password": "correct-horse-battery"}).raise_for_status()
        login = client.post("/api/login", json={"username": "ada", "password": "correct-horse-battery"})
        secrets["session"] = login.json()["token"]
    return {**secrets, "unknown": "nobody"}


@pytest.fixture
def warm(server: Server, tokens: dict[str, str]) -> None:
    """Until the lane answers: the first request brings the place and the token in."""
    for secret in (tokens["static"], tokens["api"], tokens["bound to prod"], tokens["session"]):
        for place in ("/plain?env=prod", "/plain?env=prod&version=v1"):
            until_by_lane(server, secret, place)


@functools.cache
def client_of(server: Server, secret: str) -> httpx.Client:
    return server.client(secret)


def fetch(server: Server, secret: str, place: str, **headers: str) -> httpx.Response:
    return client_of(server, secret).get(f"/api/sdk/prompts{place}", headers=headers)


def until_by_lane(server: Server, secret: str, place: str) -> httpx.Response:
    """The lane's own answer. The first requests bring in what it has to know."""
    deadline = time.monotonic() + 10
    while not by_lane(answer := fetch(server, secret, place)):
        assert time.monotonic() < deadline, "the lane never answered"
        time.sleep(0.02)
    return answer


def by_lane(answer: httpx.Response) -> bool:
    """Django's responses carry a header that the lane's do not."""
    return "x-frame-options" not in answer.headers


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    "token", ["static", "api", "bound to prod", "bound to dev", "of another workspace", "session", "unknown"]
)
@pytest.mark.parametrize(
    "place",
    [
        "/plain",
        "/plain?env=prod",
        "/plain?env=dev",
        "/plain?env=prod&workspace=default",
        "/plain?workspace=nowhere",
        "/plain?env=prod&version=v1",
        "/plain?env=prod&version=v1&unit=ada",
        "/plain?version=v2&env=prod&workspace=default",
        "/plain?version=v1&version=v2",
        "/plain?version=v1&min_revision=1",
        "/plain?env=dev&version=v1",
        "/plain?version=",
        "/plain?version=V1",
        "/rolled?version=v2&unit=ada",
        "/rolled?version=v1",
        "/draft?version=v1",
        "?version=v1",
        "/plain?env=prod&version=v99",
        "/plain?env=prod&env=dev",
        "/plain?env=",
        "/plain?env=prod%00",
        "/plain?what=else",
        "/plain?env=prod&min_revision=%C2%B2",
        "/pl%61in",
        "/draft",
        "/rolled?unit=ada",
        "/rolled?unit=grace",
        "/rolled?unit=%C3%A9l%C3%A8ve+1",
        "/nothing",
        "/plain/",
        "/",
        "",
        "?env=prod",
        "?env=test",
        "?env=nowhere",
        "?workspace=nowhere",
    ],
)
def test_lane_and_views_answer_the_same(server: Server, tokens: dict[str, str], token: str, place: str) -> None:
    fetch(server, tokens[token], place)  # a view may have had to answer this one
    lane, view = fetch(server, tokens[token], place), fetch(server, tokens[token], place, **BY_A_VIEW)
    assert lane.status_code == view.status_code
    if lane.status_code == 200:
        assert not by_lane(view)
        assert lane.content == view.content
        for name in SAME_HEADERS:
            assert lane.headers.get(name) == view.headers.get(name), name
        unchanged = fetch(server, tokens[token], place, **{"If-None-Match": lane.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == lane.headers["etag"]
    else:
        assert {**lane.json(), "request_id": ""} == {**view.json(), "request_id": ""}


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    "place", ["/plain", "/draft", "/rolled?unit=ada", "?env=prod", "/plain?version=v1", "/plain?version=v1&unit=ada"]
)
@pytest.mark.parametrize("token", ["static", "api", "bound to prod", "session"])
def test_what_the_lane_knows_it_answers_itself(server: Server, tokens: dict[str, str], token: str, place: str) -> None:
    answer = fetch(server, tokens[token], place, **{"X-Request-ID": "mine-1"})
    assert by_lane(answer)
    assert answer.headers["x-request-id"] == "mine-1"


def raw(server: Server, *requests: str) -> list[str]:
    """What comes back when these are sent at once on one connection, answer by answer, until the server hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("".join(requests).encode())
        received = b""
        while part := connection.recv(65536):
            received += part
    return ["HTTP/1.1 " + answer for answer in received.decode().split("HTTP/1.1 ")[1:]]


@pytest.mark.usefixtures("warm")
def test_requests_in_a_row_on_one_connection_get_whole_answers_in_their_order_and_the_last_one_closes_it(
    server: Server, tokens: dict[str, str]
) -> None:
    def asked(place: str, *more: str) -> str:
        lines = [f"GET /api/sdk/prompts{place} HTTP/1.1", "Host: x", f"Authorization: Bearer {tokens['static']}", *more]
        return "\r\n".join([*lines, "", ""])

    etag = fetch(server, tokens["static"], "/plain?env=prod").headers["etag"]
    whole, unchanged, by_a_view, last = raw(
        server,
        asked("/plain?env=prod"),
        asked("/plain?env=prod", f"If-None-Match: {etag}"),
        asked("/plain?env=prod", "Origin: http://elsewhere.example"),
        asked("/draft?env=prod", "Connection: close"),
    )
    head, _, body = whole.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\ndate: ")
    assert f"content-length: {len(body.encode())}" in head
    assert (unchanged.startswith("HTTP/1.1 304 Not Modified\r\n"), unchanged.endswith("\r\n\r\n")) == (True, True)
    assert "content-length" not in unchanged
    assert by_a_view.endswith(body)
    assert ("connection: close" in last.lower(), '"key":"draft"' in last) == (True, True)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("header", "status"),
    [("*", 304), ("W/{etag}", 304), ('"a", {etag}', 304), ('"a"', 200), ("nonsense", 200), ("", 200)],
)
def test_if_none_match_is_understood_alike(server: Server, tokens: dict[str, str], header: str, status: int) -> None:
    etag = fetch(server, tokens["api"], "/plain").headers["etag"]
    known = {"If-None-Match": header.format(etag=etag)}
    assert fetch(server, tokens["api"], "/plain", **known).status_code == status
    assert fetch(server, tokens["api"], "/plain", **known, **BY_A_VIEW).status_code == status


@pytest.mark.usefixtures("warm")
def test_a_fetch_after_an_answered_write_sees_it_always(server: Server, tokens: dict[str, str]) -> None:
    with server.client() as operator, server.client(tokens["api"]) as application:
        prompt = make(operator, "often", "x", "first")
        lane = 0
        for number in range(150):
            operator.put(f"/api/prompts/{prompt}", json={"content": f"text {number}"}).raise_for_status()
            version = post(operator, "/api/prompts/publish", {"id": prompt})
            answer = application.get("/api/sdk/prompts/often")
            assert answer.json()["content"] == f"text {number}", version
            lane += by_lane(application.get("/api/sdk/prompts/often"))
        deadline = time.monotonic() + 5
        while not by_lane(application.get("/api/sdk/prompts/often")):
            assert time.monotonic() < deadline, f"the lane did not take over again ({lane} times before)"


@pytest.mark.usefixtures("warm")
def test_a_rollout_that_changes_without_a_save_changes_the_lanes_answer(server: Server, tokens: dict[str, str]) -> None:
    with server.client() as operator, server.client(tokens["api"]) as application:
        prompt = make(operator, "shifting", "x", "a", "b")
        for weight, variant in ((0, "B"), (100, "A"), (0, "B")):
            body = {"variant_a": "v1", "variant_b": "v2", "weight_a": weight}
            operator.put(f"/api/prompts/{prompt}/rollout", json=body).raise_for_status()
            assert application.get("/api/sdk/prompts/shifting?unit=ada").json()["variant"] == variant
        operator.delete(f"/api/prompts/{prompt}/rollout").raise_for_status()
        assert "variant" not in application.get("/api/sdk/prompts/shifting?unit=ada").json()
        operator.delete(f"/api/prompts/{prompt}").raise_for_status()
        assert application.get("/api/sdk/prompts/shifting?unit=ada").status_code == 404


@pytest.mark.usefixtures("warm")
def test_a_pinned_version_is_gone_with_its_prompt_and_anew_with_another_of_its_key(
    server: Server, tokens: dict[str, str]
) -> None:
    pinned = "/pinned?version=v1"
    with server.client() as operator:
        for number in range(3):
            prompt = make(operator, "pinned", "x", f"first of {number}", f"second of {number}")
            assert fetch(server, tokens["api"], pinned).json()["content"] == f"first of {number}"
            assert until_by_lane(server, tokens["api"], pinned).json()["content"] == f"first of {number}"
            operator.delete(f"/api/prompts/{prompt}").raise_for_status()
            assert fetch(server, tokens["api"], pinned).status_code == 404


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("change", [{"key": "moved-to"}, {"env": "test"}])
def test_a_pinned_version_follows_its_prompt_to_another_key_or_environment(
    server: Server, tokens: dict[str, str], change: dict[str, str]
) -> None:
    with server.client() as operator:
        prompt = make(operator, "moved", "x", "one")
        until_by_lane(server, tokens["api"], "/moved?version=v1")
        operator.put(f"/api/prompts/{prompt}", json=change).raise_for_status()
        assert fetch(server, tokens["api"], "/moved?version=v1").status_code == 404
        place = f"/{change.get('key', 'moved')}?version=v1&env={change.get('env', 'prod')}"
        document = until_by_lane(server, tokens["api"], place).json()
        assert document == {**document, "env": change.get("env", "prod"), "key": change.get("key", "moved")}
        assert document["content"] == "one"
        operator.delete(f"/api/prompts/{prompt}").raise_for_status()


@pytest.mark.usefixtures("warm")
def test_a_publish_and_a_rollback_leave_a_pinned_version_as_it_is(server: Server, tokens: dict[str, str]) -> None:
    with server.client() as operator:
        prompt = make(operator, "kept", "x", "one")
        before = until_by_lane(server, tokens["api"], "/kept?version=v1")
        operator.put(f"/api/prompts/{prompt}", json={"content": "two"}).raise_for_status()
        post(operator, "/api/prompts/publish", {"id": prompt})
        post(operator, "/api/prompts/rollback", {"id": prompt, "version": "v1"})
        after = until_by_lane(server, tokens["api"], "/kept?version=v1")
        assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
        assert int(after.headers["x-promptops-revision"]) > int(before.headers["x-promptops-revision"])


@pytest.mark.usefixtures("warm")
def test_who_is_no_member_of_a_workspace_any_more_is_answered_nothing_of_it_by_the_next_request(
    server: Server, tokens: dict[str, str]
) -> None:
    with server.client() as operator:
        users = operator.get("/api/users").json()["data"]
        ada = next(user["id"] for user in users if user["username"] == "ada")
        until_by_lane(server, tokens["session"], "/plain?env=prod")
        for place in ("/plain?env=prod", "/plain?env=prod&version=v1", "?env=prod"):
            operator.put(f"/api/users/{ada}", json={"workspaces": []}).raise_for_status()
            for _ in range(3):
                assert fetch(server, tokens["session"], place).status_code == 404
            operator.put(f"/api/users/{ada}", json={"workspaces": ["default"]}).raise_for_status()
            assert until_by_lane(server, tokens["session"], place).status_code == 200


def test_a_revoked_token_is_refused_by_its_next_request(server: Server) -> None:
    with server.client() as operator:
        made = post(operator, "/api/tokens", {"name": "short-lived", "role": "viewer"})
        with server.client(made["token"]) as application:
            deadline = time.monotonic() + 10
            while not by_lane(application.get("/api/sdk/prompts/plain")):
                assert time.monotonic() < deadline
            operator.delete(f"/api/tokens/{made['id']}").raise_for_status()
            assert application.get("/api/sdk/prompts/plain").status_code == 401
