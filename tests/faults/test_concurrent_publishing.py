"""Many at once on one prompt, over HTTP against a real server."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.faults.tools.support import create, data, history, installation
from tests.servers import Server

WRITERS = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with installation(tmp_path_factory) as server:
        yield server


def at_once(server: Server, deed: Callable[[httpx.Client, int], Any]) -> list[Any]:
    """What `deed` returned to each of the writers, who all began at the same moment."""
    barrier = threading.Barrier(WRITERS)

    def run(number: int) -> Any:
        with server.client() as client:
            client.get("/livez")  # connected
            barrier.wait()
            return deed(client, number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))


def test_fifty_who_save_a_draft_and_publish_it_lose_nothing(server: Server) -> None:
    with server.client() as client:
        prompt = create(client, "fifty-drafts", content="the first")["id"]

    def save_and_publish(client: httpx.Client, number: int) -> dict[str, Any]:
        data(client.put(f"/api/prompts/{prompt}", json={"content": f"by {number}"}))
        published: dict[str, Any] = data(client.post("/api/prompts/publish", json={"id": prompt}))
        return published

    answers = at_once(server, save_and_publish)
    past = history(server, prompt)
    past.check()
    assert {answer["version"]: answer["content"] for answer in answers}.items() <= past.contents.items()
    # Everybody's draft was saved, and whatever was the draft when somebody published became a version once.
    assert len(past.of("prompt.updated")) == WRITERS
    assert len(set(past.contents.values())) == len(past.contents)


@pytest.mark.parametrize("with_label", [True, False], ids=["each under a label of its own", "under no label"])
def test_fifty_who_publish_at_once_all_succeed(server: Server, with_label: bool) -> None:
    with server.client() as client:
        prompt = create(client, f"fifty-publishers-{with_label}", content="the same")["id"]

    def publish(client: httpx.Client, number: int) -> str:
        label = {"version": f"of-{number}"} if with_label else {}
        version: str = data(client.post("/api/prompts/publish", json={"id": prompt, **label}))["version"]
        return version

    labels = at_once(server, publish)
    past = history(server, prompt)
    past.check()
    assert set(past.contents) == set(labels) == ({f"of-{n}" for n in range(WRITERS)} if with_label else {"v1"})


def test_fifty_who_want_one_label_for_different_contents_get_it_once(server: Server) -> None:
    with server.client() as client:
        prompt = create(client, "one-label", content="the first")["id"]

    def save_and_publish(client: httpx.Client, number: int) -> httpx.Response:
        data(client.put(f"/api/prompts/{prompt}", json={"content": f"by {number}"}))
        return client.post("/api/prompts/publish", json={"id": prompt, "version": "wanted"})

    answers = at_once(server, save_and_publish)
    past = history(server, prompt)
    past.check()
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert list(past.contents) == ["wanted"]
    assert {data(answer)["content"] for answer in answers if answer.is_success} == {past.contents["wanted"]}
