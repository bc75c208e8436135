"""Many subscribers: none misses a change, none delays another, all come back at once. The long form has thousands."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.faults.tools.redis import Redis
from tests.faults.tools.subscribers import Subscriber, subscribe, until
from tests.faults.tools.support import LONG, another, create, data, installation, listening, times
from tests.servers import TOKEN, Server


def p99(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100)[98]


def send_much(client: httpx.Client) -> None:
    """45 MB in a few seconds."""
    for number in range(150):
        create(client, f"never-published-{number}", content="x" * 60_000)
    environments = data(client.get("/api/environments", params={"workspace": "default"}))
    prod = next(environment["id"] for environment in environments if environment["name"] == "prod")
    for require_publish in [True, False] * 4:
        data(client.put(f"/api/environments/{prod}", json={"require_publish": require_publish}))


PATH = f"/ws?namespace=prod&token={TOKEN}"


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two processes; with Redis where the suite's database is PostgreSQL."""
    redis = Redis()
    redis.start()
    variables = {"REDIS_URL": redis.url} if "DATABASE_URL" in os.environ else {}
    with installation(tmp_path_factory, **variables) as first, another(first) as second:
        yield first, second
    redis.kill()


def publish(client: httpx.Client, prompt: str, content: str, **label: str) -> None:
    """Save and publish; a busy database (503) is asked again, as its answer says."""
    for method, path, body in (
        ("PUT", f"/api/prompts/{prompt}", {"content": content}),
        ("POST", "/api/prompts/publish", {"id": prompt, **label}),
    ):
        for _ in range(20):
            answer = client.request(method, path, json=body)
            if answer.status_code != 503:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.status_code == 200, answer.text


async def test_updates_of_sixteen_writers_reach_every_subscriber_in_order_and_none_is_missing(
    pair: tuple[Server, Server],
) -> None:
    updates, count = times(160, 1000), times(200, 2000)
    first, second = pair
    with first.client() as client:
        prompts = [create(client, f"prompt-{n}", content="x")["id"] for n in range(16)]
        for prompt in prompts:
            data(client.post("/api/prompts/publish", json={"id": prompt}))
    subscribers = await subscribe([first.port, second.port], PATH, count)
    assert {subscriber.status for subscriber in subscribers} == {101}
    await asyncio.sleep(1)

    def write(number: int) -> None:
        with (first, second)[number % 2].client() as client:
            for step in range(updates // 16):
                publish(client, prompts[number], f"writer {number}, text {step}")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(16) as writers:
        began = time.monotonic()
        await asyncio.gather(*(loop.run_in_executor(writers, write, number) for number in range(16)))
        took = time.monotonic() - began
    published = updates // 16 * 16
    await until(lambda: all(len(subscriber.revisions) >= published for subscriber in subscribers), 60)
    with listening(first, namespace="prod", since=32) as stream:
        head = stream.next()["revision"]
        expected = [frame["revision"] for frame in stream.until(head)]
    assert len(expected) == published
    for subscriber in subscribers:
        assert subscriber.revisions == expected
        assert subscriber.close_code is None
        subscriber.transport.abort()
    print(f"\n{published} updates by 16 writers to {count} subscribers in {took:.1f} s")


async def test_a_client_that_stops_reading_delays_nobody_and_ends_with_4410(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server, server.client() as client:
        prompt = create(client, "large", content="x")["id"]
        data(client.post("/api/prompts/publish", json={"id": prompt}))
        arrivals: dict[str, list[float]] = {}

        def told(subscriber: Subscriber, frame: dict[str, str]) -> None:
            arrivals.setdefault(frame["version"], []).append(time.monotonic())

        def heard_by_all(version: str) -> bool:
            return len(arrivals.get(version, [])) >= len(subscribers)

        subscribers = await subscribe([server.port], PATH, 50, told)

        def one(version: str) -> float:
            publish(client, prompt, version + "x" * 60_000, version=version)
            return time.monotonic()

        async def measure(label: str, rounds: int) -> list[float]:
            """Seconds from each publish's answer to the last who heard of it."""
            delays = []
            for number in range(rounds):
                version = f"{label}-{number}"
                answered = await asyncio.to_thread(one, version)
                await until(partial(heard_by_all, version), 10)
                delays.append(max(0.0, max(arrivals[version]) - answered))
            return delays

        rounds = times(15, 200)
        without = await measure("without", rounds)
        stalled = (await subscribe([server.port], PATH, 1))[0]
        stalled.transport.pause_reading()
        beside = await measure("beside", rounds)
        tell = [f"{statistics.median(each) * 1000:.1f} ms, p99 {p99(each) * 1000:.1f}" for each in (without, beside)]
        print(f"\nlast of 50: {tell[0]} without, {tell[1]} beside one that stalls")
        assert statistics.median(beside) < 1.5 * statistics.median(without) + 0.02
        if not LONG:  # the p99 of few tries is the longest of them, whatever else the machine did then
            return
        assert p99(beside) < 1.5 * p99(without) + 0.1
        # What is owed to it is bounded: more than that, and it is told so as soon as it reads on. All comes at once,
        # since who doesn't take the end for half a minute is cut off without a word.
        await asyncio.to_thread(send_much, client)
        stalled.transport.resume_reading()
        await until(lambda: stalled.close_code is not None, 20)
        assert stalled.close_code == 4410
        assert all(subscriber.close_code is None for subscriber in subscribers)


async def test_all_come_back_at_once_after_a_crash_and_resume_without_a_gap(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    count = times(500, 2000)
    with installation(tmp_path_factory) as server:
        with server.client() as client:
            prompt = create(client, "greeting", content="x")["id"]
            data(client.post("/api/prompts/publish", json={"id": prompt}))
            before = await subscribe([server.port], f"{PATH}&since=0", count)
            await until(lambda: all(subscriber.revisions == [1, 2] for subscriber in before), 30)
            publish(client, prompt, "the last before the crash")
        server.kill()
        await asyncio.to_thread(server.start)
        with server.client() as client:
            publish(client, prompt, "the first after it")
        began = time.monotonic()
        after = await subscribe([server.port], f"{PATH}&since=2", count, at_once=count)
        assert {subscriber.status for subscriber in after} == {101}
        await until(lambda: all(subscriber.revisions == [4, 6] for subscriber in after), 30)
        print(f"\n{count} clients came back in {time.monotonic() - began:.1f} s")
        assert all(subscriber.resumed for subscriber in after)


def test_a_fetch_after_a_frame_is_never_older_than_the_frame(pair: tuple[Server, Server]) -> None:
    first, second = pair
    with first.client() as operator, second.client() as application:
        prompt = create(operator, "greeting", content="x")["id"]
        with listening(second, namespace="prod", since=0) as stream:
            # Without Redis each try waits for a tick.
            for number in range(times(60, 10_000 if "DATABASE_URL" in os.environ else 1_000)):
                publish(operator, prompt, f"text {number}")
                while (frame := stream.next())["type"] != "prompt.published":
                    pass
                answer = application.get("/api/sdk/prompts/greeting?env=prod")
                assert int(answer.headers["X-PromptOps-Revision"]) >= frame["revision"]
                assert answer.json()["content"] == f"text {number}"
