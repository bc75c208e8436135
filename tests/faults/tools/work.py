"""What tests of workflows share: worker processes that can be killed, and a server that counts what steps call."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.tools.support import data, installation
from tests.servers import ROOT, Server

ON_POSTGRES = "DATABASE_URL" in os.environ


class Counter:
    """A server on a port of its own. `GET /<run>/<step>` answers `<step>.` after `delay(run, step)` seconds.

    `began` and `answered` are called when a call comes and when its answer is out; `calls` has when each came, and
    `left` when a client went away before its answer.
    """

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.left: dict[tuple[str, str], float] = {}
        self.delay: Callable[[str, str], float] = lambda run, step: 0.0
        self.began: Callable[[str, str], None] = lambda run, step: None
        self.answered: Callable[[str, str], None] = lambda run, step: None
        counter, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                run, step = self.path.strip("/").split("/")
                with lock:
                    counter.calls[run, step].append(time.time())
                counter.began(run, step)
                if _gone(self.connection, counter.delay(run, step)):
                    counter.left[run, step] = time.monotonic()
                    return
                with contextlib.suppress(OSError):
                    body = f"{step}.".encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "text/plain; charset=utf-8")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    self.wfile.flush()
                    counter.answered(run, step)

            def log_message(self, *args: Any) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        self.calls.clear()
        self.left.clear()
        self.delay, self.began = (lambda run, step: 0.0), (lambda run, step: None)
        self.answered = lambda run, step: None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _gone(connection: socket.socket, seconds: float) -> bool:
    """Wait for so long; whether the client went away meanwhile."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([connection], [], [], left)
        if readable:
            with contextlib.suppress(OSError):
                if connection.recv(1, socket.MSG_PEEK):
                    time.sleep(0.01)
                    continue
            return True
    return False


class Worker:
    """A `manage.py worker` of an installation."""

    def __init__(self, server: Server, folder: Path | None = None) -> None:
        self.log = server.log.parent / f"worker-{time.monotonic_ns()}.log"
        environment = {**server.environment, **({"PROMPTOPS_DATA_DIR": str(folder)} if folder else {})}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=40)


@contextlib.contextmanager
def workers(server: Server, count: int, *, apart: bool = False) -> Iterator[list[Worker]]:
    """So many workers; with `apart` each in a folder of its own, as if on a machine of its own."""
    started: list[Worker] = []
    for number in range(count):
        folder = server.log.parent / f"apart-{time.monotonic_ns()}-{number}" if apart else None
        started.append(Worker(server, folder))
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()


@contextlib.contextmanager
def counted(factory: pytest.TempPathFactory, **variables: str) -> Iterator[tuple[Server, Counter]]:
    """An installation whose steps may call a counter."""
    counter = Counter()
    try:
        with installation(factory, PROMPTOPS_OUTBOUND_ALLOW=counter.place, **variables) as server:
            yield server, counter
    finally:
        counter.close()


def calling(counter: Counter, count: int) -> list[dict[str, Any]]:
    """Steps that each call the counter, and at the end one that shows what all of them said."""
    steps: list[dict[str, Any]] = [
        {"id": f"s{number}", "type": "http", "url": f"http://{counter.place}/{{{{run}}}}/s{number}"}
        for number in range(1, count + 1)
    ]
    said = "".join(f"{{{{steps.s{number}.output}}}}" for number in range(1, count + 1))
    return [*steps, {"id": "all", "type": "render", "template": said}]


def create(client: httpx.Client, key: str, steps: list[dict[str, Any]]) -> str:
    """A workflow of these steps; its id."""
    workflow: str = data(client.post("/api/workflows", json={"key": key, "steps": steps}))["id"]
    return workflow


def start(client: httpx.Client, workflow: str, **variables: Any) -> str:
    """A background run; its id."""
    answer = client.post(f"/api/workflows/{workflow}/run", json={"variables": variables, "background": True})
    assert answer.status_code == 202, answer.text
    run: str = answer.json()["run_id"]
    return run


def get(client: httpx.Client, run: str) -> dict[str, Any]:
    found: dict[str, Any] = data(client.get(f"/api/workflows/runs/{run}"))
    return found


def until(client: httpx.Client, run: str, *states: str, timeout: float = 60.0) -> dict[str, Any]:
    """The run, once it is in one of these states."""
    deadline = time.monotonic() + timeout
    while (found := get(client, run))["status"] not in states:
        assert time.monotonic() < deadline, found
        assert found["status"] in {"queued", "running", "waiting"}, found
        time.sleep(0.05)
    return found
