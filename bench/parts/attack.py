"""What fetches and `/livez` notice of attackers at their worst: each alone, then one without a token and one with."""

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.load import http as load
from bench.load.attackers import ANONYMOUS, VIEWER
from bench.report import Figure
from bench.servers import processes
from bench.servers.processes import Installation, Process

SECONDS = 12.0
MEASURED = SECONDS - 1.5
WARMING = 0.5  # seconds for an attacker to start; its first burst is measured
SETTLING = 3.0  # seconds after it


def attack(folder: Path) -> list[Figure]:
    installation = Installation(folder / "attack")
    made = installation.prepare(1_000)
    server = installation.server()
    server.start("/readyz")
    _plant(server, installation.token)
    processes.post(server, installation.token, "/api/playground/run", {"content": "hi"})  # loads what is loaded once
    fetch = load.request("/api/sdk/prompts/prompt-0?env=prod", Authorization=f"Bearer {made['token']}")
    asyncio.run(load.run(server.port, fetch, seconds=1.0))
    figures = []
    idle = _measure(server, fetch, seconds=MEASURED)
    figures.append(Figure("/livez beside fetches in peace, longest", idle.longest, "ms", note=f"p99 {idle.p99:.1f} ms"))
    for kinds in [*((kind,) for kind in (*ANONYMOUS, *VIEWER)), *zip(ANONYMOUS, VIEWER, strict=True)]:
        name = " and ".join(kinds).replace("_", " ")
        begun = [_begin(kind, server, made["token"]) for kind in kinds]
        time.sleep(WARMING)
        seen = _measure(server, fetch, seconds=MEASURED)
        answers = ", ".join(_answers(one) for one in begun)
        again = _measure(server, fetch, seconds=2.0)
        figures += [
            Figure(f"/livez, longest: {name}", seen.longest, "ms", idle.longest, f"p99 {seen.p99:.1f} ms; {answers}"),
            Figure(
                f"fetches: {name}", seen.rate, "a second", idle.rate, f"{again.rate / idle.rate:.2f} when it is over"
            ),
            Figure(f"memory: {name}", seen.memory / 1e6, "MB", idle.memory / 1e6, f"{again.memory / 1e6:.0f} MB after"),
        ]
        time.sleep(SETTLING)
    server.stop()
    return figures


class _Seen:
    def __init__(self, rate: float, times: list[float], memory: int) -> None:
        self.rate = rate
        self.longest = max(times)
        self.p99 = statistics.quantiles([*times, self.longest], n=100)[98]
        self.memory = memory


def _measure(server: Process, fetch: bytes, *, seconds: float) -> _Seen:
    """Fetches as fast as they go, and `/livez` every few milliseconds from a process of its own."""
    command = [sys.executable, "-m", "bench.load.probe", str(server.port), "/livez", "-", str(seconds)]
    probe = subprocess.Popen(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
    most = [server.memory_bytes()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            most.append(server.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = asyncio.run(load.run(server.port, fetch, seconds=seconds))
    times = [float(line) for line in probe.communicate()[0].splitlines()]
    over.set()
    watcher.join()
    return _Seen(done.statuses.get(200, 0) / done.seconds, times, max(most))


def _begin(kind: str, server: Process, token: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.load.attackers", kind, str(server.port), token, str(SECONDS)]
    return subprocess.Popen(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _answers(attacker: "subprocess.Popen[str]") -> str:
    statuses = json.loads(attacker.communicate()[0] or "{}")
    return " ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))


def _plant(server: Process, token: str) -> None:
    """What the attacks work on: a text that searches are hard on, and an environment that is 6 MB as a snapshot."""
    for number in range(30):
        content = "a" * 200_000 if number == 0 else f"{number} " * 70_000
        processes.post(server, token, "/api/prompts", {"key": f"big-{number}", "env": "prod", "content": content})
