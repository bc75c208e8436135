"""Clients that come back after the server went away, by SIGKILL and by SIGTERM."""

import itertools
import threading
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.faults.tools.support import Frame, create, data, installation, listening, times
from tests.servers import Server


class Beside(threading.Thread):
    """What goes on beside the test until it is told to stop; a test that fails leaves it to its fate."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.step()
        except BaseException as error:
            self.error = error

    def step(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.done.set()
        self.join(30)
        assert self.error is None, repr(self.error)


class Follower(Beside):
    """What an SDK does: it comes back with where it was, and notes every change that it gets."""

    def __init__(self, server: Server, **query: Any) -> None:
        self.frames: list[Frame] = []
        self.snapshots = self.connections = 0
        self.close_codes: set[int] = set()
        self._server = server
        self._query = query
        self._position: dict[str, Any] = {"since": 0}
        super().__init__()

    def step(self) -> None:
        with suppress(OSError, WebSocketException, TimeoutError):
            self._listen()
        time.sleep(0.02)

    def _listen(self) -> None:
        with listening(self._server, namespace="prod", **self._position, **self._query) as stream:
            self.connections += 1
            while not self.done.is_set():
                try:
                    frame = stream.next(0.2)
                except TimeoutError:
                    continue
                except WebSocketException:
                    self.close_codes.add(stream.connection.protocol.close_code or 0)
                    raise
                self.snapshots += frame["type"] == "snapshot"
                if frame["type"] == "hello":
                    self._position["epoch"] = frame["epoch"]
                elif "key" in frame:
                    self.frames.append(frame)
                    self._position["since"] = frame["revision"]

    def stop_at(self, revision: int) -> None:
        deadline = time.monotonic() + 20
        while not (self.frames and self.frames[-1]["revision"] >= revision) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.stop()


class Writer(Beside):
    """Saves a draft, then publishes, again and again, whatever happens to the server."""

    def __init__(self, server: Server, key: str) -> None:
        self._server = server
        with server.client() as client:
            self._prompt = create(client, key)["id"]
        self._numbers = itertools.count()
        super().__init__()

    def step(self) -> None:
        with suppress(httpx.TransportError), self._server.client() as client:
            data(client.put(f"/api/prompts/{self._prompt}", json={"content": f"text {next(self._numbers)}"}))
            data(client.post("/api/prompts/publish", json={"id": self._prompt}))


def test_who_comes_back_after_a_restart_has_every_change_exactly_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server:
        writers = [Writer(server, f"key-{number}") for number in range(2)]
        followers = [Follower(server, drafts=1), Follower(server)]
        for _ in range(times(2, 6)):
            for end in (server.kill, server.stop):
                time.sleep(0.5)
                end()
                server.start()
        time.sleep(0.5)
        for writer in writers:
            writer.stop()
        with server.client() as client:
            environments = data(client.get("/api/environments", params={"workspace": "default"}))
        head = next(environment["revision"] for environment in environments if environment["name"] == "prod")
        everything, served = followers
        everything.stop_at(head)
        served.stop_at(head - 2 * len(writers))
        assert [frame["revision"] for frame in everything.frames] == list(range(1, head + 1))
        wanted = [f for f in everything.frames if f["type"] != "prompt.updated"]
        got = [f for f in served.frames if f["type"] != "prompt.updated"]
        assert [frame["revision"] for frame in got] == [frame["revision"] for frame in wanted][: len(got)]
        links = [0, *(frame["revision"] for frame in served.frames)]
        assert [frame["prev_revision"] for frame in served.frames] == links[:-1]
        for follower in followers:
            assert follower.snapshots == 0
            assert follower.connections == 1 + 2 * times(2, 6)
            assert 1012 in follower.close_codes
        print(f"\n{head} revisions over {2 * times(2, 6)} restarts")
