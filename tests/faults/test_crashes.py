"""SIGKILL in the middle of publishing. PROMPTOPS_FAULTS=long kills 20 times; everyday runs a few times."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest

from tests.faults.tools.support import create, data, history, installation, replay, times
from tests.servers import Server

WRITERS = 3


@dataclass
class Writer:
    """Saves and publishes one prompt, again and again, until the server is gone; notes what it was promised."""

    server: Server
    key: str
    prompt: str = ""
    saved: list[str] = field(default_factory=list)
    published: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        with self.server.client() as client:
            self.prompt = create(client, self.key, content="the first")["id"]

    def run(self) -> None:
        with suppress(httpx.TransportError), self.server.client() as client:
            for number in range(100_000):
                content = f"{self.key} {number}"
                data(client.put(f"/api/prompts/{self.prompt}", json={"content": content}))
                self.saved.append(content)
                version = data(client.post("/api/prompts/publish", json={"id": self.prompt}))
                self.published[version["version"]] = version["content"]


def test_a_publish_that_a_kill_interrupts_is_there_as_a_whole_or_not_at_all_and_none_that_was_answered_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server, ThreadPoolExecutor(WRITERS) as pool:
        promised = unanswered = head = 0
        for kill in range(times(3, 20)):
            writers = [Writer(server, f"kill-{kill}-{number}") for number in range(WRITERS)]
            for writer in writers:
                writer.prepare()
            running = [pool.submit(writer.run) for writer in writers]
            enough = random.randint(1, 20)
            deadline = time.monotonic() + 30
            while sum(len(writer.published) for writer in writers) < enough and time.monotonic() < deadline:
                time.sleep(random.uniform(0.001, 0.01))
            server.kill()
            for run in running:
                run.result(30)
            server.start()
            for writer in writers:
                past = history(server, writer.prompt, head)
                past.check()
                assert writer.published.items() <= past.contents.items()
                assert len(past.contents) - len(writer.published) in {0, 1}  # at most the one that was under way
                updated = len(past.of("prompt.updated"))
                assert updated - len(writer.saved) in {0, 1}
                promised += len(writer.published)
                unanswered += len(past.contents) - len(writer.published)
            head += len(replay(server, head))
        print(f"\n{times(3, 20)} kills: {promised} publishes were answered, {unanswered} more were done")
