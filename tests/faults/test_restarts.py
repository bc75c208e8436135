"""Clients that come back after the server went away, by SIGKILL and by SIGTERM."""

import threading
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.faults.support import Frame, create, data, installation, listening, times
from tests.servers import Server


class Follower:
    """What an SDK does: it comes back with where it was, and notes every change that it gets."""

    def __init__(self, server: Server, **query: Any) -> None:
        self.frames: list[Frame] = []
        self.snapshots = self.connections = 0
        self.close_codes: set[int] = set()
        self._server = server
        self._query = query
        self._position: dict[str, Any] = {"since": 0}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.is_set():
            with suppress(OSError, WebSocketException, TimeoutError):
                self._listen()
            time.sleep(0.02)

    def _listen(self) -> None:
        with listening(self._server, namespace="prod", **self._position, **self._query) as stream:
            self.connections += 1
            while not self._done.is_set():
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
        self._done.set()
        self._thread.join(30)


class Writer:
    """Saves a draft, then publishes, again and again, whatever happens to the server."""

    def __init__(self, server: Server, key: str) -> None:
        self._server = server
        with server.client() as client:
            self._prompt = create(client, key)["id"]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            with suppress(httpx.TransportError), self._server.client() as client:
                data(client.put(f"/api/prompts/{self._prompt}", json={"content": f"text {number}"}))
                data(client.post("/api/prompts/publish", json={"id": self._prompt}))

    def stop(self) -> None:
        self._done.set()
        self._thread.join(30)


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
