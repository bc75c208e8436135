"""Both clients while the server, the network or the disk fails."""

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from promptops_client import Change, NotReady, PromptNotFound, PromptOps
from promptops_client._wire import Backoff

from tests.sdk.conftest import Make
from tests.sdk.support import Operator, before, eventually, is_streaming
from tests.servers import TOKEN, Server, free_port

pytestmark = pytest.mark.faults


def copies(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "copies").glob("*.json"))


def seconds_for(calls: int, function: Any) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - started


@pytest.mark.both_databases
def test_a_killed_server_changes_nothing_and_what_it_published_before_is_caught_up_without_a_gap(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "0")
    with before(server) as proxy:
        client = make(proxy.url, poll_interval=60)
        heard: list[Change] = []
        client.watch(lambda change: heard.append(change) if change.key == key else None)
        eventually(lambda: is_streaming(client))
        proxy.cut("refuse")
        for number in range(1, 6):
            operator.publish(prompt, f"{number}")
        server.kill()
        eventually(lambda: client.status().state == "offline")
        assert client.get_prompt(key).content == "0"
        assert seconds_for(1_000, lambda: client.get_prompt(key)) < 1
        proxy.mode = "open"
        server.start()
        eventually(lambda: is_streaming(client), 40)
        operator.publish(prompt, "6")
        eventually(lambda: client.get_prompt(key).content == "6")
        eventually(lambda: len(heard) == 6)
        assert [change.prompt.content for change in heard if change.prompt] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.both_databases
def test_a_stream_that_resumes_tells_every_change_of_the_outage_in_order(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "0")
    with before(server) as proxy:
        client = make(proxy.url, poll_interval=60)
        heard: list[Change] = []
        client.watch(lambda change: heard.append(change) if change.key == key else None)
        eventually(lambda: is_streaming(client))
        proxy.cut("refuse")
        for number in range(1, 10):
            operator.publish(prompt, f"{number}")
        proxy.mode = "open"
        eventually(lambda: client.get_prompt(key).content == "9", 40)
        eventually(lambda: heard and heard[-1].version == "v10")
        told = [change.prompt.content for change in heard if change.prompt]
        assert told == [f"{number}" for number in range(1, 10)]
        assert len(proxy.targets("/ws")) == 2
        assert len(proxy.targets("/api/sdk/prompts?")) == 1


def test_while_the_stream_is_refused_it_polls_and_comes_back_to_the_stream(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "one")
    with before(server) as proxy:
        proxy.mode = "no streams"
        client = make(proxy.url)
        heard: list[Change] = []
        client.watch(lambda change: heard.append(change) if change.key == key else None)
        assert client.get_prompt(key).content == "one"
        eventually(lambda: client.status().state == "polling")
        operator.publish(prompt, "two")
        eventually(lambda: client.get_prompt(key).content == "two", 5)
        eventually(lambda: heard)
        assert [(change.type, change.version) for change in heard] == [("prompt.updated", "v2")]
        seen = len(proxy.targets("/api/sdk"))
        eventually(lambda: len(proxy.targets("/api/sdk")) >= seen + 2)
        assert proxy.targets("/api/sdk")[-1][1:] == (True, 304)
        assert client.status().state == "polling"
        proxy.mode = "open"
        eventually(lambda: is_streaming(client), 40)
        operator.data("DELETE", f"/api/prompts/{prompt}")
        eventually(lambda: heard[-1].type == "prompt.deleted")


def test_after_an_outage_that_the_server_does_not_remember_a_snapshot_brings_it_up_to_date(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    prompt = operator.create(key, "one")
    gone = operator.create(f"{key}-gone", "x")
    with before(server) as proxy:
        client = make(proxy.url, poll_interval=600)
        heard: list[Change] = []
        client.watch(heard.append)
        eventually(lambda: is_streaming(client))
        proxy.cut("refuse")
        operator.data("DELETE", f"/api/prompts/{gone}")
        operator.publish(prompt, "two")
        operator.create(f"{key}-new", "y")
        server.manage("shell", "-c", "from governance.models import Change; Change.objects.all().delete()")
        proxy.mode = "open"
        eventually(lambda: client.get_prompt(key).content == "two", 40)  # it may have waited longer and longer
        assert client.get_prompt(f"{key}-new").content == "y"
        with pytest.raises(PromptNotFound):
            client.get_prompt(f"{key}-gone")
        assert len(proxy.targets("/api/sdk")) == 1
        eventually(lambda: len(heard) == 3)
        assert {(change.type, change.key) for change in heard} == {
            ("prompt.updated", key),
            ("prompt.created", f"{key}-new"),
            ("prompt.deleted", f"{key}-gone"),
        }


def test_a_new_epoch_makes_it_start_anew(server: Server, operator: Operator, make: Make, key: str) -> None:
    prompt = operator.create(key, "one")
    client = make(server.url)
    eventually(lambda: is_streaming(client))
    server.manage("newepoch")
    operator.publish(prompt, "two")
    eventually(lambda: client.get_prompt(key).content == "two")
    eventually(lambda: is_streaming(client), 40)
    operator.publish(prompt, "three")
    eventually(lambda: client.get_prompt(key).content == "three")


def test_it_starts_from_the_copy_on_disk_when_the_server_is_gone(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str
) -> None:
    prompt = operator.create(key, "one", config={"n": 1})
    operator.publish(prompt, "two")
    operator.data("PUT", f"/api/prompts/{prompt}/rollout", enabled=True, variant_a="v1", variant_b="v2", weight_a=50)
    with before(server) as proxy:
        first = make(proxy.url)
        units = {f"u{n}": first.get_prompt(key, unit=f"u{n}") for n in range(50)}
        pin = first.get_prompt(key, version="v1")
        first.close()
        [path] = copies(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert TOKEN not in path.read_text() + path.name
        proxy.cut("refuse")
        second = make(proxy.url)
        assert {unit: second.get_prompt(key, unit=unit) for unit in units} == units
        assert second.get_prompt(key, version="v1") == pin
        assert (second.status().state, second.status().source) == ("offline", "disk")
        with pytest.raises(NotReady):
            second.get_prompt(key, version="v2")
        proxy.mode = "open"
        operator.data("DELETE", f"/api/prompts/{prompt}/rollout")
        eventually(lambda: second.get_prompt(key, unit="u1").variant is None)
        eventually(lambda: is_streaming(second), 40)


def test_a_start_with_an_unchanged_copy_transfers_nothing(
    server: Server, operator: Operator, make: Make, key: str
) -> None:
    operator.create(key, "one")
    with before(server) as proxy:
        first = make(proxy.url)
        first.get_prompt(key)
        first.close()
        fresh = make(proxy.url)
        assert fresh.get_prompt(key).content == "one"
        assert fresh.status().source == "server"
        assert proxy.targets("/api/sdk")[-1][1:] == (True, 304)


def test_another_key_environment_or_server_has_a_copy_of_its_own(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str
) -> None:
    operator.create(key, "one")
    token, _ = operator.token()
    for options in ({}, {"env": "dev"}, {"env": None}, {"workspace": "default"}):
        make(server.url, **options).get_prompt(key, fallback="")
    make(server.url, token).get_prompt(key)
    eventually(lambda: len(copies(tmp_path)) == 5)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format":1}', '{"format":1,"pins":[],"store":{"documents":[{}]}}'])
def test_a_damaged_copy_is_as_good_as_none(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str, damage: str
) -> None:
    operator.create(key, "one")
    make(server.url).get_prompt(key)
    [path] = eventually(lambda: copies(tmp_path))
    path.write_text(damage)
    assert make(server.url).get_prompt(key).content == "one"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_no_reason_to_fail_for_a_user(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str
) -> None:
    operator.create(key, "one")
    (tmp_path / "locked").mkdir(mode=0o500)
    assert make(server.url, cache_dir=tmp_path / "locked" / "in").get_prompt(key).content == "one"


def test_a_folder_that_is_a_file_is_no_reason_to_fail(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str
) -> None:
    operator.create(key, "one")
    (tmp_path / "file").write_text("")
    client = make(server.url, cache_dir=tmp_path / "file")
    assert client.get_prompt(key).content == "one"
    eventually(lambda: is_streaming(client))


def test_with_nothing_at_all_it_says_so_fast_and_a_fallback_stands_in(make: Make) -> None:
    client = make(f"http://127.0.0.1:{free_port()}", env="test")
    with pytest.raises(NotReady):
        client.get_prompt("greeting")
    assert seconds_for(100, lambda: client.render("greeting", {"n": 1}, fallback="{{n}}")) < 1
    instead = client.get_prompt("greeting", fallback="{{n}}")
    assert (instead.version, instead.env, instead.render({"n": 2})) == ("fallback", "test", "2")
    assert client.get_prompt("greeting", fallback=instead) is instead
    assert client.get_prompt("greeting", version="v1", fallback=instead) is instead


def test_a_server_that_does_not_answer_holds_up_the_first_call_only_and_no_longer_than_it_may(
    server: Server, operator: Operator, make: Make, tmp_path: Path, key: str
) -> None:
    operator.create(key, "one")
    with before(server) as proxy:
        make(proxy.url).get_prompt(key)
        eventually(lambda: copies(tmp_path))
        proxy.mode = "silent"
        client = make(proxy.url, start_timeout=0.5)
        started = time.monotonic()
        assert client.get_prompt(key).content == "one"  # from disk
        assert 0.4 < time.monotonic() - started < 4  # by default it would be five
        assert seconds_for(100, lambda: client.get_prompt(key)) < 1
        proxy.cut("open")
        eventually(lambda: is_streaming(client), 40)


def test_a_warm_call_costs_microseconds_also_when_the_server_is_gone(
    server: Server, operator: Operator, key: str
) -> None:
    operator.create(key, "x" * 400 + "{{a}} {{b}} {{c}} {{d}} {{e}}")
    variables = dict.fromkeys("abcde", "a value of twenty ch")
    with before(server) as proxy, PromptOps(proxy.url, TOKEN, env="prod", cache_dir=False) as client:
        eventually(lambda: is_streaming(client))
        proxy.cut("refuse")
        eventually(lambda: client.status().state == "offline")
        for limit, call in ((2e-6, lambda: client.get_prompt(key)), (5e-6, lambda: client.render(key, variables))):
            started = time.thread_time()  # of this thread alone, whatever else the machine does
            for _ in range(20_000):
                call()
            assert (time.thread_time() - started) / 20_000 < limit


def test_a_404_of_a_proxy_or_an_answer_that_is_no_json_is_an_outage_and_not_the_end(
    make: Make, httpserver: Any, tmp_path: Path
) -> None:
    body = {"data": [], "revision": 1, "epoch": "e", "env": "prod", "workspace": "default"}
    httpserver.expect_ordered_request("/api/sdk/prompts").respond_with_data("<html>", status=404)
    httpserver.expect_ordered_request("/api/sdk/prompts").respond_with_data("<html>", status=200)
    httpserver.expect_ordered_request("/api/sdk/prompts").respond_with_data(json.dumps(body)[:-5], status=200)
    httpserver.expect_ordered_request("/api/sdk/prompts").respond_with_json(body)
    client = make(httpserver.url_for("/"))
    eventually(lambda: client.status().source == "server", 30)


def test_retry_after_is_kept_to(make: Make, httpserver: Any) -> None:
    httpserver.expect_request("/api/sdk/prompts").respond_with_data("", status=503, headers={"Retry-After": "30"})
    client = make(httpserver.url_for("/"))
    with pytest.raises(NotReady, match="503"):
        client.get_prompt("greeting")
    time.sleep(1.5)
    assert len(httpserver.log) == 1


def test_many_clients_do_not_come_back_at_the_same_moment() -> None:
    waits = [Backoff() for _ in range(1000)]
    for bound in (1, 2, 4, 8, 16, 30, 30):
        drawn = sorted(wait.next() for wait in waits)
        assert drawn[0] < bound * 0.05
        assert bound * 0.9 < drawn[-1] <= bound
        assert abs(drawn[500] - bound / 2) < bound * 0.1


def test_the_token_is_in_no_address(server: Server, operator: Operator, make: Make, key: str) -> None:
    operator.create(key, "one")
    with before(server) as proxy:
        client = make(proxy.url)
        eventually(lambda: is_streaming(client))
        assert proxy.requests
        assert not proxy.targets(TOKEN)
