"""What it costs that a workflow's steps are kept: runs that are waited for, and runs in the background."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.report import Figure
from bench.servers import processes
from bench.servers.processes import Installation, Process
from bench.servers.workflow_steps import STEPS

RUNS = 200
QUEUED = 500


def workflows(folder: Path) -> list[Figure]:
    """On SQLite in the server itself; on PostgreSQL in two workers beside it."""
    from tests.postgres import launch  # a real server from a wheel; only tests and this need it

    here = Installation(folder / "workflows")
    here.prepare(1)
    wall, cpu = _bare(here)
    server = here.server()
    server.start("/readyz")
    run = _create(server, here.token)
    _call(server, here.token, run, {})
    before, began = server.cpu_seconds(), time.perf_counter()
    for number in range(RUNS):
        _call(server, here.token, run, {"variables": {"input": f"run {number}"}})
    took = (time.perf_counter() - began) / RUNS * 1000
    used = (server.cpu_seconds() - before) / RUNS * 1000
    figures = [
        Figure("a run of 5 mock steps that is waited for", took, "ms", wall, "baseline: the bare loop"),
        Figure("the same, of the server's CPU", used, "ms", cpu, "baseline: the bare loop"),
    ]
    figures += _background(here, [server], run, RUNS, cpu, "SQLite, in the server")
    server.stop()
    there = Installation(folder / "workflows-pg", database_url=launch(folder / "workflows-pgdata").get_uri())
    there.environment["PROMPTOPS_WORKFLOW_WORKERS"] = "external"
    there.prepare(1)
    _, cpu = _bare(there)
    server, workers = there.server(), [there.worker(), there.worker()]
    server.start("/readyz")
    for worker in workers:
        worker.start("")
    figures += _background(there, workers, _create(server, there.token), QUEUED, cpu, "PostgreSQL, two workers", server)
    for process in (server, *workers):
        process.stop()
    return figures


def _bare(installation: Installation) -> tuple[float, float]:
    """Milliseconds of a run by the interpreter alone, and of CPU."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.servers.workflow_loop", str(RUNS)],
        cwd=processes.ROOT,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


def _background(
    installation: Installation,
    workers: list[Process],
    run: str,
    count: int,
    bare_cpu: float,
    where: str,
    server: Process | None = None,
) -> list[Figure]:
    server = server or workers[0]
    _call(server, installation.token, run, {"background": True})
    _wait(server, installation.token)  # the engine is up
    before = sum(worker.cpu_seconds() for worker in workers)
    began = time.perf_counter()
    for number in range(count):
        _call(server, installation.token, run, {"background": True, "variables": {"input": f"run {number}"}})
    _wait(server, installation.token)
    took = time.perf_counter() - began
    used = (sum(worker.cpu_seconds() for worker in workers) - before) / count * 1000
    baseline = "baseline: the bare loop"
    return [
        Figure(f"{count} background runs of 5 mock steps; {where}", count / took, "a second"),
        Figure(f"one of them, of its process's CPU; {where}", used, "ms", bare_cpu, baseline),
        Figure(f"what a step costs more than in the bare loop; {where}", (used - bare_cpu) / 5, "ms of CPU"),
    ]


def _create(server: Process, token: str) -> str:
    made = _call(server, token, "/api/workflows", {"key": "mocks", "steps": STEPS})
    return f"/api/workflows/{made['data']['id']}/run"


def _wait(server: Process, token: str) -> None:
    """Until no run is going."""
    while any(_total(server, token, status) for status in ("queued", "running")):
        time.sleep(0.2)


def _total(server: Process, token: str, status: str) -> int:
    path = f"/api/workflows/runs?limit=0&status={status}"
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  # our own server
        return int(json.load(answer)["total"])


def _call(server: Process, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  # our own server
        content: dict[str, Any] = json.load(answer)
        return content
