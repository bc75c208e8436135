"""Two server processes on one database: with Redis, without it, and when it dies."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.redis import Redis
from tests.faults.support import Stream, another, create, data, installation, listening
from tests.servers import TOKEN, Server

Pair = tuple[Server, Server]


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two processes without Redis."""
    with installation(tmp_path_factory) as first, another(first) as second:
        yield first, second


@pytest.fixture
def pair_with_redis(tmp_path_factory: pytest.TempPathFactory, redis: Redis) -> Iterator[Pair]:
    with installation(tmp_path_factory, REDIS_URL=redis.url) as first, another(first) as second:
        yield first, second


def eventually(look: Callable[[], Any], expected: Any, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert seen == expected


class Publisher:
    """Publishes through one process, and measures how long it takes to reach a socket on another."""

    def __init__(self, server: Server) -> None:
        self._client = server.client()
        self._prompt = create(self._client, "greeting", content="one")["id"]
        self._number = 0

    def publish(self) -> str:
        self._number += 1
        label = f"x{self._number}"
        data(self._client.post("/api/prompts/publish", json={"id": self._prompt, "version": label}))
        return label

    def delays(self, stream: Stream, count: int, patience: float) -> list[float]:
        """Seconds from each publish's answer to its frame."""
        delays = []
        for _ in range(count):
            label, answered = self.publish(), time.monotonic()
            while stream.next(patience).get("version") != label:
                pass
            delays.append(max(0.0, time.monotonic() - answered))
            time.sleep(0.11)  # out of step with the tick
        return delays


def tell(what: str, delays: list[float]) -> None:
    print(f"\n{what}: median {statistics.median(delays) * 1000:.0f} ms, worst {max(delays) * 1000:.0f} ms")


def test_with_redis_a_change_is_pushed_by_the_other_process_at_once_also_after_redis_was_away(
    tmp_path_factory: pytest.TempPathFactory, redis: Redis
) -> None:
    """The tick is far away, so that what arrives was announced by Redis."""
    slow_tick = {"REDIS_URL": redis.url, "PROMPTOPS_TICK_SECONDS": "30"}
    with installation(tmp_path_factory, **slow_tick) as first, another(first) as second:
        publisher = Publisher(first)
        with listening(second, namespace="prod") as stream:
            delays = publisher.delays(stream, 20, patience=10)
            tell("another process, with Redis", delays)
            assert statistics.median(delays) < 0.25
            redis.kill()
            publisher.publish()
            time.sleep(0.5)
            redis.start()
            time.sleep(3)  # for both to find it again
            assert publisher.delays(stream, 1, patience=10)


def test_a_server_that_starts_without_its_redis_finds_it_when_it_comes(
    tmp_path_factory: pytest.TempPathFactory, redis: Redis
) -> None:
    redis.kill()
    slow_tick = {"REDIS_URL": redis.url, "PROMPTOPS_TICK_SECONDS": "30"}
    with installation(tmp_path_factory, **slow_tick) as first, another(first) as second:
        time.sleep(2)  # some attempts fail
        redis.start()
        publisher = Publisher(first)
        time.sleep(3)
        with listening(second, namespace="prod") as stream:
            assert publisher.delays(stream, 3, patience=10)


def test_when_redis_dies_publishing_goes_on_and_other_processes_see_it_within_a_second(
    pair_with_redis: Pair, redis: Redis
) -> None:
    first, second = pair_with_redis
    publisher = Publisher(first)
    with listening(second, namespace="prod") as stream:
        publisher.delays(stream, 1, patience=10)
        redis.kill()
        began = time.monotonic()
        delays = publisher.delays(stream, 10, patience=10)
        tell("another process, Redis dead", delays)
        assert sorted(delays)[7] < 1.0  # the rest is the machine's
        assert time.monotonic() - began - sum(delays) - 10 * 0.11 < 10.0  # no publish waits for Redis
        assert first.client().get("/readyz").status_code == 200


def test_without_redis_processes_see_each_others_changes_within_a_second(pair: Pair) -> None:
    first, second = pair
    publisher = Publisher(first)
    with listening(second, namespace="prod") as there, listening(first, namespace="prod") as here:
        delays = publisher.delays(there, 10, patience=10)
        tell("another process, no Redis", delays)
        assert sorted(delays)[7] < 1.0
        assert [here.next()["version"] for _ in delays] == [f"x{number + 1}" for number in range(10)]
        near = publisher.delays(here, 10, patience=10)
        tell("the same process", near)
        assert statistics.median(near) < 0.25


def test_a_fetch_from_another_process_sees_what_was_published_within_a_second(pair: Pair) -> None:
    first, second = pair
    publisher = Publisher(first)
    publisher.publish()
    with second.client() as client:

        def version() -> str:
            served: str = client.get("/api/sdk/prompts/greeting").json()["version"]
            return served

        eventually(version, "x1", timeout=5)
        for _ in range(5):
            label = publisher.publish()
            eventually(version, label, timeout=1.0)


def test_a_credential_that_is_revoked_in_one_process_loses_its_sockets_in_the_other(pair: Pair) -> None:
    first, second = pair
    with first.client() as client:
        made = data(client.post("/api/tokens", json={"name": "t", "role": "viewer"}))
        with listening(second, made["token"], since=0) as stream:
            assert stream.next()["type"] == "hello"
            assert client.delete(f"/api/tokens/{made['id']}").is_success
            assert stream.close_code(5.0) == 4401


def test_every_process_lists_all_connections_and_forgets_those_of_one_that_was_killed(pair: Pair) -> None:
    first, second = pair

    def listed(server: Server) -> list[str]:
        with server.client() as client:
            return sorted(row["app"] for row in data(client.get("/api/clients")))

    with listening(first, app="at-first"):
        with listening(second, app="at-second"):
            for server in pair:
                eventually(lambda server=server: listed(server), ["at-first", "at-second"], timeout=10)  # type: ignore[misc]
            second.kill()
        eventually(lambda: listed(first), ["at-first"], timeout=30)


def test_requests_that_wait_for_a_lock_do_not_delay_what_is_pushed() -> None:
    assert TOKEN
