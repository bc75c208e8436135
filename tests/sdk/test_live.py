"""Both clients against a server that runs."""

import asyncio
import inspect
import threading
import time
from typing import Any

import pytest
from promptops_client import (
    AsyncPromptOps,
    Change,
    ConfigurationError,
    EnvironmentNotFound,
    MissingVariables,
    NotReady,
    Prompt,
    PromptNotFound,
    PromptOps,
    Unauthorized,
)

from tests.sdk.conftest import Make
from tests.sdk.support import AnyClient, Operator, before, eventually, is_streaming
from tests.servers import TOKEN, Server


def test_a_first_call_waits_for_the_fetch_and_everything_is_there(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "Hello {{name}}", model="gpt", config={"temperature": 0.5})
    prompt = make(server.url).get_prompt(key)
    assert prompt == Prompt(key, "v1", "prod", "gpt", "Hello {{name}}", '{"temperature":0.5}')
    assert (prompt.config, prompt.variables) == ({"temperature": 0.5}, ("name",))


def test_without_a_named_environment_the_servers_default_is_meant(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "x")
    client = make(server.url, env=None)
    assert client.get_prompt(key).env == "prod"
    assert client.get_prompt(key, env="prod") is client.get_prompt(key)
    assert client.status().env == "prod"


@pytest.mark.both_databases
def test_a_published_change_arrives_without_asking(server: Server, operator: Operator, make: Make, key: str) -> None:
    prompt = operator.create(key, "one")
    client = make(server.url)
    assert client.get_prompt(key).content == "one"
    eventually(lambda: is_streaming(client))
    label = operator.publish(prompt, "two")
    eventually(lambda: client.get_prompt(key).content == "two", 5)
    assert client.get_prompt(key).version == label
    operator.data("POST", "/api/prompts/rollback", id=prompt, version="v1")
    eventually(lambda: client.get_prompt(key).content == "one", 5)
    operator.data("DELETE", f"/api/prompts/{prompt}")

    has_caught_up(client, revision_of(operator))
    with pytest.raises(PromptNotFound):
        client.get_prompt(key)


def has_caught_up(client: AnyClient, revision: int) -> None:
    eventually(lambda: client.status().revision >= revision)


def revision_of(operator: Operator) -> int:
    return int(operator.http.get("/api/sdk/prompts", params={"env": "prod"}).json()["revision"])


@pytest.mark.both_databases
def test_units_get_the_variants_that_the_server_gives_them_also_when_the_weight_moves(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "one")
    label = operator.publish(prompt, "two")
    client = make(server.url)
    for weight in (30, 62.5):
        operator.data(
            "PUT", f"/api/prompts/{prompt}/rollout", enabled=True, variant_a="v1", variant_b=label, weight_a=weight
        )
        has_caught_up(client, revision_of(operator))
        for number in range(200):
            unit = f"user-{number}"
            theirs, ours = operator.fetched(key, unit=unit), client.get_prompt(key, unit=unit)
            assert (ours.variant, ours.version, ours.content) == (
                theirs["variant"],
                theirs["version"],
                theirs["content"],
            )
    assert {client.get_prompt(key).variant for _ in range(200)} == {"A", "B"}
    operator.data("DELETE", f"/api/prompts/{prompt}/rollout")
    eventually(lambda: client.get_prompt(key, unit="user-1").variant is None)


def test_another_environment_is_followed_from_its_first_use_on(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "in prod")
    prompt = operator.create(key, "in dev", env="dev")
    client = make(server.url)
    assert client.status(env="dev").state == "starting"
    assert (client.get_prompt(key).content, client.get_prompt(key, env="dev").content) == ("in prod", "in dev")
    eventually(lambda: client.status(env="dev").state == "streaming")
    operator.publish(prompt, "in dev again")
    eventually(lambda: client.get_prompt(key, env="dev").content == "in dev again", 5)
    with pytest.raises(EnvironmentNotFound):
        client.get_prompt(key, env="nowhere")
    assert client.status(env="nowhere").state == "not_found"


def test_a_pinned_version_is_fetched_once_and_a_missing_one_not_at_once_again(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.publish(operator.create(key, "one"), "two")
    with before(server) as proxy:
        client = make(proxy.url)
        eventually(lambda: is_streaming(client))  # the state that comes with the stream has pins looked at once more
        assert [client.get_prompt(key, version="v1").content for _ in range(3)] == ["one"] * 3
        for _ in range(3):
            with pytest.raises(PromptNotFound):
                client.get_prompt(key, version="v99")
        assert client.render(key, {}, version="v99", fallback="instead") == "instead"
        assert [status for _, _, status in proxy.targets("version=")] == [200, 404]


def test_a_document_that_is_too_big_for_a_frame_is_fetched(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "small")
    client = make(server.url)
    eventually(lambda: is_streaming(client))
    big = "ä" * 40_000
    label = operator.publish(prompt, big)
    eventually(lambda: client.get_prompt(key).content == big)
    operator.data("PUT", f"/api/prompts/{prompt}/rollout", enabled=True, variant_a="v1", variant_b=label, weight_a=50)
    unit_of = {operator.fetched(key, unit=f"u{n}")["variant"]: f"u{n}" for n in range(20)}
    eventually(lambda: client.get_prompt(key, unit=unit_of["B"]).variant == "B")
    assert client.get_prompt(key, unit=unit_of["B"]).content == big
    assert client.get_prompt(key, unit=unit_of["A"]).content == "small"
    operator.data("DELETE", f"/api/prompts/{prompt}/rollout")
    operator.data("DELETE", f"/api/prompts/{prompt}")
    has_caught_up(client, revision_of(operator))
    with pytest.raises(PromptNotFound):
        client.get_prompt(key)


def test_strict_rendering_names_what_is_missing_and_lenient_rendering_leaves_it(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "{{b}} {{ a.b }} {{c}} {{b}}")
    client = make(server.url)
    assert client.render(key, {"c": [1]}) == "{{b}} {{ a.b }} [1] {{b}}"
    with pytest.raises(MissingVariables) as missing:
        client.render(key, {"c": ""}, strict=True)
    assert missing.value.names == ("b", "a.b")
    assert client.get_prompt(key).fill({"b": 1}).missing == ("a.b", "c")


def test_callbacks_hear_of_every_change_in_order_and_one_that_raises_hurts_nobody(
    server: Server, operator: Operator, make: Make, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = make(server.url)
    heard: list[Change] = []

    def note(change: Change) -> None:
        if change.key == key:
            heard.append(change)

    def fail(change: Change) -> None:
        raise RuntimeError("on purpose")

    client.watch(fail)
    client.watch(note)
    eventually(lambda: is_streaming(client))
    prompt = operator.create(key, "0")
    for number in range(1, 20):
        operator.publish(prompt, f"{number}")
    operator.data("DELETE", f"/api/prompts/{prompt}")
    eventually(lambda: heard and heard[-1].type == "prompt.deleted")
    contents = [change.prompt.content for change in heard if change.type == "prompt.published" and change.prompt]
    assert contents[-19:] == [f"{number}" for number in range(1, 20)]
    assert [change.revision for change in heard] == sorted({change.revision for change in heard})
    assert (heard[0].type, heard[-1].prompt) == ("prompt.created", None)
    assert "on purpose" in caplog.text


def test_a_slow_callback_does_not_hold_up_what_is_served_and_can_be_taken_back(
    server: Server, operator: Operator, key: str
) -> None:
    prompt = operator.create(key, "one")
    with PromptOps(server.url, TOKEN, env="prod", cache_dir=False) as client:
        eventually(lambda: is_streaming(client))
        release, heard = threading.Event(), list[Change]()
        client.watch(lambda change: release.wait(10))
        unwatch = client.watch(heard.append)
        operator.publish(prompt, "two")
        eventually(lambda: client.get_prompt(key).content == "two", 5)
        assert heard == []
        release.set()
        eventually(lambda: heard)
        unwatch()
        operator.publish(prompt, "three")
        eventually(lambda: client.get_prompt(key).content == "three", 5)
        assert [change.version for change in heard if change.key == key] == ["v2"]


def test_the_server_lists_the_client_by_kind_and_app(server: Server, operator: Operator, make: Make) -> None:
    client = make(server.url, app="shop of the test")
    eventually(lambda: is_streaming(client))
    clients = eventually(lambda: [c for c in operator.data("GET", "/api/clients") if c["app"] == "shop of the test"])
    assert (clients[0]["client_type"], clients[0]["namespace"]) == ("python-sdk", "prod")


def test_a_wrong_key_is_said_and_asked_for_no_more(server: Server, make: Make, key: str) -> None:
    with before(server) as proxy:
        client = make(proxy.url, "not-a-token")
        with pytest.raises(Unauthorized):
            client.get_prompt(key)
        assert client.status().state == "unauthorized"
        assert client.render(key, {"n": 1}, fallback="{{n}}") == "1"
        with pytest.raises(Unauthorized):
            client.get_prompt(key, version="v1")
        time.sleep(1.2)
        assert [status for _, _, status in proxy.requests] == [401]


def test_a_revoked_key_ends_the_stream_and_what_is_known_is_served_on(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "one")
    token, revoke = operator.token()
    with before(server) as proxy:
        client = make(proxy.url, token)
        eventually(lambda: is_streaming(client))
        revoke()
        eventually(lambda: client.status().state == "unauthorized", 10)
        asked = len(proxy.requests)
        operator.publish(prompt, "two")
        time.sleep(1.2)
        assert len(proxy.requests) == asked
        assert client.get_prompt(key).content == "one"
        assert "revoked" in (client.status().error or "")


def test_a_key_that_is_revoked_while_there_is_no_stream_is_noticed_by_polling(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "one")
    token, revoke = operator.token()
    with before(server) as proxy:
        proxy.mode = "no streams"
        client = make(proxy.url, token)
        eventually(lambda: client.status().state == "polling")
        revoke()
        eventually(lambda: client.status().state == "unauthorized", 10)
        assert client.get_prompt(key).content == "one"


def test_a_deleted_environment_ends_the_stream(server: Server, operator: Operator, make: Make, key: str) -> None:
    place = operator.data("POST", "/api/environments", name=f"e{key[-8:]}", workspace_id="default")
    prompt = operator.create(key, "one", env=place["name"])
    client = make(server.url, env=place["name"])
    eventually(lambda: is_streaming(client))
    operator.data("DELETE", f"/api/prompts/{prompt}")
    operator.data("DELETE", f"/api/environments/{place['id']}")
    eventually(lambda: client.status().state in {"forbidden", "not_found"})


def test_closing_leaves_no_thread_behind_and_serves_on(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "one")
    before_it = set(threading.enumerate())
    client = make(server.url)
    client.watch(lambda change: None)
    client.get_prompt(key)
    client.get_prompt(key, version="v1")
    eventually(lambda: is_streaming(client))
    operator.create(f"{key}-2", "for the watcher")
    eventually(lambda: client.get_prompt(f"{key}-2", fallback="not yet").version == "v1")
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 2
    eventually(lambda: set(threading.enumerate()) <= before_it, 5)
    assert client.status().state == "closed"
    if isinstance(client, PromptOps):
        client.close()
        assert client.get_prompt(key).content == "one"
        with pytest.raises(NotReady):
            client.get_prompt(key, env="dev")


def test_one_asyncio_client_may_live_in_one_loop_after_the_other(server: Server, operator: Operator, key: str) -> None:
    prompt = operator.create(key, "one")
    client = AsyncPromptOps(server.url, TOKEN, env="prod", cache_dir=False)  # outside any loop

    async def once_it_is(content: str) -> None:
        async with asyncio.timeout(10):
            while (await client.get_prompt(key)).content != content or client.status().state != "streaming":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(once_it_is("one"))
    operator.publish(prompt, "two")
    asyncio.run(once_it_is("two"))


def test_both_clients_have_one_surface() -> None:
    def surface(kind: type) -> dict[str, inspect.Signature]:
        members: dict[str, Any] = {name: m for name, m in inspect.getmembers(kind) if not name.startswith("_")}
        return {name: inspect.signature(member) for name, member in members.items()}

    assert surface(PromptOps) == surface(AsyncPromptOps)
    assert inspect.signature(PromptOps) == inspect.signature(AsyncPromptOps)
    assert set(surface(PromptOps)) == {"get_prompt", "render", "watch", "status", "close"}
    for name, member in inspect.getmembers(PromptOps):
        if name in surface(PromptOps):
            assert inspect.getdoc(member), name


def test_what_is_not_given_comes_from_the_environment(
    server: Server, operator: Operator, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.create(key, "in dev", env="dev")
    with pytest.raises(ConfigurationError, match="PROMPTOPS_BASE_URL"):
        PromptOps()
    monkeypatch.setenv("PROMPTOPS_BASE_URL", f"{server.url}/")
    with pytest.raises(ConfigurationError, match="PROMPTOPS_API_KEY"):
        PromptOps()
    monkeypatch.setenv("PROMPTOPS_API_KEY", TOKEN)
    monkeypatch.setenv("PROMPTOPS_ENV", "dev")
    monkeypatch.setenv("PROMPTOPS_WORKSPACE", "default")
    with PromptOps(cache_dir=False) as client:
        assert client.get_prompt(key).content == "in dev"
        assert TOKEN not in repr(client._settings)
    monkeypatch.setenv("PROMPTOPS_WORKSPACE", "another")
    with PromptOps(cache_dir=False) as client, pytest.raises(EnvironmentNotFound):
        client.get_prompt(key)
    for wrong in ("ftp://x", "localhost:8000", "http://"):
        with pytest.raises(ConfigurationError):
            PromptOps(wrong)


def test_a_redirect_does_not_carry_the_token_to_another_host(make: Make, httpserver: Any, key: str) -> None:
    elsewhere = {"Location": httpserver.url_for("/elsewhere").replace("127.0.0.1", "localhost")}
    assert "//localhost:" in elsewhere["Location"]
    redirect = httpserver.expect_ordered_request("/api/sdk/prompts")
    redirect.respond_with_data("", status=302, headers=elsewhere)
    body = {"data": [], "revision": 1, "epoch": "e", "env": "prod", "workspace": "default"}
    httpserver.expect_request("/api/sdk/prompts").respond_with_json(body)
    httpserver.expect_request("/ws").respond_with_data("", status=302, headers=elsewhere)
    client = make(httpserver.url_for("").replace("localhost", "127.0.0.1"))
    with pytest.raises(NotReady, match="302"):
        client.get_prompt(key)
    eventually(lambda: "stream" in (client.status().error or ""))
    asked = [request for request, _ in httpserver.log if request.path == "/elsewhere"]
    assert not any("Authorization" in request.headers for request in asked)
