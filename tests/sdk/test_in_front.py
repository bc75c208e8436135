"""Both clients behind something that answers in the server's place, and pins of prompts that were made anew."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promptops_client import EnvironmentNotFound, Forbidden, NotReady, PromptNotFound, PromptOps, Unauthorized
from promptops_client._errors import PromptOpsError
from promptops_client._wire import Answer, LostError

from tests.sdk.conftest import Make
from tests.sdk.support import Operator, before, eventually, is_streaming
from tests.servers import TOKEN, Server


def page(status: str, body: bytes = b"<h1>Request blocked</h1>", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


PAGES = {
    "a firewall's 403": page("403 Forbidden"),
    "a login page's 401": page("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="intranet"'),
    "a router's 404": page("404 Not Found"),
    "a gateway's 403 in JSON": page("403 Forbidden", b'{"message": "Forbidden", "code": "forbidden"}'),
    "another API's 401": page("401 Unauthorized", b'{"error": {"code": "unauthorized"}}'),
    "a redirect to a login": page("302 Found", b"", "Location: https://login.example/"),
    "a page with 200": page("200 OK"),
    "another API's list": page("200 OK", b'{"data": []}'),
    "an object of the wrong kind": page("200 OK", b'{"data": "x", "revision": "y", "epoch": 1, "env": []}'),
    "documents of the wrong kind": page(
        "200 OK", b'{"data": [{"key": 1, "config": []}], "revision": 1, "epoch": "e", "env": "prod"}'
    ),
}


@pytest.mark.parametrize("what", PAGES)
def test_what_stands_in_front_of_the_server_is_an_outage_with_words_and_over_when_it_lets_requests_through(
    server: Server, operator: Operator, make: Make, key: str, what: str
) -> None:
    operator.create(key, "here")
    with before(server) as proxy:
        proxy.mode, proxy.page = "page", PAGES[what]
        client = make(proxy.url)
        with pytest.raises(NotReady):
            client.get_prompt(key)
        with pytest.raises(NotReady):
            client.get_prompt(key, version="v1")
        assert client.status().state == "offline"
        assert client.status().error
        assert client.get_prompt(key, fallback="instead").content == "instead"
        proxy.mode = "open"
        eventually(lambda: is_streaming(client))
        assert client.get_prompt(key).content == "here"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found"])
def test_a_page_that_comes_up_in_mid_life_stops_no_client(
    server: Server, operator: Operator, make: Make, key: str, status: str
) -> None:
    prompt = operator.create(key, "before")
    with before(server) as proxy:
        client = make(proxy.url)
        eventually(lambda: is_streaming(client))
        proxy.page = page(status)
        proxy.cut("page")
        eventually(lambda: client.status().state == "offline")
        assert client.get_prompt(key).content == "before"
        operator.publish(prompt, "after")
        proxy.mode = "open"
        eventually(lambda: client.get_prompt(key).content == "after")
        eventually(lambda: is_streaming(client))


def test_a_stream_that_a_proxy_forbids_leaves_a_client_that_polls(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "one")
    with before(server) as proxy:
        proxy.mode = "no streams"
        client = make(proxy.url)
        eventually(lambda: client.status().state == "polling")
        operator.publish(prompt, "two")
        eventually(lambda: client.get_prompt(key).content == "two")


@given(
    status=st.sampled_from([301, 302, 401, 403, 404, 407, 429, 500, 502, 503]),
    body=st.one_of(
        st.binary(max_size=60), st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode)
    ),
)
def test_a_status_alone_is_never_final(status: int, body: bytes) -> None:
    assert isinstance(Answer(status, {}, body).failure(), LostError)


@pytest.mark.parametrize(
    ("status", "code", "means"),
    [(401, "unauthorized", Unauthorized), (403, "forbidden", Forbidden), (404, "not_found", EnvironmentNotFound)],
)
def test_the_servers_own_word_is_final(status: int, code: str, means: type[PromptOpsError]) -> None:
    body = json.dumps({"error": "no", "code": code, "request_id": "r"}).encode()
    assert isinstance(Answer(status, {}, body).failure(), means)


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/"])
def test_the_address_may_be_the_servers_or_its_apis(
    server: Server, operator: Operator, make: Make, key: str, suffix: str
) -> None:
    operator.create(key, "found")
    client = make(server.url + suffix)
    assert client.get_prompt(key).content == "found"
    eventually(lambda: is_streaming(client))


def anew(operator: Operator, prompt: str, key: str) -> None:
    operator.data("DELETE", f"/api/prompts/{prompt}")
    operator.create(key, "second life")


@pytest.mark.parametrize("way", ["streaming", "polling", "away"])
def test_a_pinned_version_dies_with_its_prompt(
    server: Server, operator: Operator, make: Make, key: str, way: str
) -> None:
    prompt = operator.create(key, "first life")
    other = operator.create(f"{key}-other", "stays")
    with before(server) as proxy:
        proxy.mode = "no streams" if way == "polling" else "open"
        client = make(proxy.url)
        eventually(lambda: client.status().state in {"polling", "streaming"})
        assert client.get_prompt(key, version="v1").content == "first life"
        assert client.get_prompt(f"{key}-other", version="v1").content == "stays"
        if way == "away":
            eventually(lambda: is_streaming(client))
            proxy.cut("refuse")
            eventually(lambda: client.status().state == "offline")
        anew(operator, prompt, key)
        if way == "away":
            proxy.mode = "open"
        eventually(lambda: client.get_prompt(key, version="v1").content == "second life")
        operator.data("DELETE", f"/api/prompts/{other}")
        eventually(lambda: _is_gone(client, f"{key}-other"))


def _is_gone(client: Any, key: str) -> bool:
    try:
        client.get_prompt(key, version="v1")
    except PromptNotFound:
        return True
    return False


def test_a_pinned_version_on_disk_is_not_served_when_the_prompt_was_made_anew_meanwhile(
    server: Server, operator: Operator, tmp_path: Any, key: str
) -> None:
    prompt = operator.create(key, "first life")
    place: dict[str, Any] = {"env": "prod", "cache_dir": tmp_path}
    with PromptOps(server.url, TOKEN, **place) as client:
        assert client.get_prompt(key, version="v1").content == "first life"
    anew(operator, prompt, key)
    with PromptOps(server.url, TOKEN, **place) as client:
        assert client.get_prompt(key, version="v1").content == "second life"
    server.kill()
    with PromptOps(server.url, TOKEN, **place) as client:
        assert client.get_prompt(key, version="v1").content == "second life"
