"""Much at once, and many who listen."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.faults.tools.support import create, data, installation, listening, times
from tests.servers import TOKEN, Server

PUBLISHES = times(400, 1_000)
WRITERS = 8
SUBSCRIBERS = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with installation(tmp_path_factory) as server:
        yield server


async def subscribe(server: Server, until: int, listening: asyncio.Event) -> list[int]:
    """The revisions that a client is sent, up to `until`."""
    seen: list[int] = []
    async with connect(server.stream_url(namespace="prod", since=0), max_size=None) as connection:
        async for text in connection:
            frame: dict[str, Any] = json.loads(text)
            listening.set()
            if "key" in frame:
                seen.append(frame["revision"])
                if frame["revision"] >= until:
                    break
    return seen


async def publish(server: Server, prompt: str, numbers: Iterator[int]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        for number in numbers:
            data(await client.post("/api/prompts/publish", json={"id": prompt, "version": f"x{number}"}))


async def test_fifty_subscribers_each_have_every_change_of_a_burst_in_order(server: Server) -> None:
    with server.client() as client:
        prompts = [create(client, f"burst-{number}", content="x" * 500)["id"] for number in range(WRITERS)]
    last = WRITERS + PUBLISHES
    events = [asyncio.Event() for _ in range(SUBSCRIBERS)]
    subscribers = [asyncio.create_task(subscribe(server, last, event)) for event in events]
    async with asyncio.timeout(60):
        await asyncio.gather(*(event.wait() for event in events))
    numbers = iter(range(PUBLISHES))
    began = time.monotonic()
    async with asyncio.timeout(120):
        await asyncio.gather(*(publish(server, prompt, numbers) for prompt in prompts))
        published = time.monotonic()
        received = await asyncio.gather(*subscribers)
    print(
        f"\n{PUBLISHES} publishes in {published - began:.1f} s; the last of {SUBSCRIBERS} subscribers had all "
        f"{time.monotonic() - published:.2f} s later"
    )
    assert {tuple(revisions) for revisions in received} == {tuple(range(1, last + 1))}


def test_a_change_of_policy_over_many_large_prompts_reaches_clients_whole(server: Server) -> None:
    """One transaction, and everything in it arrives at once: no client is called slow for that."""
    size, count = 60_000, 150
    with server.client() as client:
        room = data(client.post("/api/workspaces", json={"name": "large"}))["id"]
        environments = data(client.get("/api/environments", params={"workspace": room}))
        prod = next(environment["id"] for environment in environments if environment["name"] == "prod")
        for number in range(count):
            create(client, f"large-{number}", workspace_id=room, content="x" * size)
        with listening(server, workspace=room, namespace="prod") as stream:
            for require_publish in (True, False):
                data(client.put(f"/api/environments/{prod}", json={"require_publish": require_publish}))
            frames = stream.until(3 * count)
    assert [frame["revision"] for frame in frames] == list(range(count + 1, 3 * count + 1))
    assert [frame["document"] is None for frame in frames] == [True] * count + [False] * count
    assert frames[-1]["prev_revision"] == frames[-2]["revision"]
    assert list(itertools.chain(*(frame["document"]["content"] for frame in frames[count : count + 1]))) == ["x"] * size
