"""A hundred agent runs at once, against a provider that takes a second; and long logs."""

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.report import Figure
from bench.servers import processes
from bench.servers.processes import Installation, Process

AT_ONCE = 100
ROWS = (10_000, 1_000_000)
PROMPTS = (1_000, 100_000)


def runs(folder: Path) -> list[Figure]:
    """How long they take in all, and what the SDK fetch takes meanwhile, beside what it takes in peace.

    How much of that is the machine's doing, a hello tells that another process says meanwhile.
    """
    provider, hello = processes.bare(folder), processes.bare(folder)
    provider.start("/")
    hello.start("/")
    installation = Installation(folder / "runs")
    installation.environment["PROMPTOPS_OLLAMA_BASE_URL"] = f"http://127.0.0.1:{provider.port}/v1"
    installation.prepare(1)
    server = installation.server()
    server.start("/readyz")
    agent = {"key": "helper", "prompt": "Hi", "provider": "ollama"}
    made = processes.post(server, installation.token, "/api/agents", agent)["data"]["id"]
    path = f"/api/agents/{made}/run"
    processes.post(server, installation.token, path, {})  # loads what is loaded once
    fetches = partial(_probe, server, "/api/sdk/prompts/prompt-0?env=prod", installation.token)
    hellos = partial(_probe, hello, "/", installation.token)
    fetches(1.0).communicate()
    idle, idle_hello = _p99(fetches(4.0)), _p99(hellos(4.0))
    busy, busy_hello = fetches(4.0), hellos(4.0)
    time.sleep(1.0)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        for future in [pool.submit(processes.post, server, installation.token, path, {}) for _ in range(AT_ONCE)]:
            future.result()
        took = time.perf_counter() - began
    figures = [
        Figure(f"{AT_ONCE} agent runs at once, provider takes 1 s", took, "s"),
        Figure("SDK fetch meanwhile, p99", _p99(busy), "ms", idle, "baseline: the same in peace"),
        Figure("a hello of another process meanwhile, p99", _p99(busy_hello), "ms", idle_hello, "likewise"),
    ]
    for process in (server, provider, hello):
        process.stop()
    return figures


def _probe(server: Process, path: str, token: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.load.probe", str(server.port), path, token, str(seconds)]
    return subprocess.Popen(command, cwd=processes.ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _p99(probe: "subprocess.Popen[str]") -> float:
    times = [float(line) for line in probe.communicate()[0].splitlines()]
    return statistics.quantiles(times, n=100)[98]


def logs(folder: Path) -> list[Figure]:
    """Lists and statistics at a million rows, beside ten thousand, on both databases."""
    return _few_and_many(folder, "logs", ROWS)


def prompts(folder: Path) -> list[Figure]:
    """Pages of the back office at a hundred thousand prompts, beside a thousand, on both databases."""
    return _few_and_many(folder, "prompts", PROMPTS)


def _few_and_many(folder: Path, what: str, counts: tuple[int, int]) -> list[Figure]:
    """What `bench.<what>` measures of few rows and of many, on both databases."""
    from tests.postgres import launch  # a real server from a wheel; only tests and this need it

    figures = []
    for database in ("", launch(folder / f"{what}-pg").get_uri()):
        installation = Installation(folder / (what if database else f"{what}-sqlite"), database_url=database)
        installation.folder.mkdir(exist_ok=True)
        installation.manage("migrate", "--verbosity", "0")
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", f"bench.parts.{what}", *map(str, counts)],
            cwd=processes.ROOT,
            env={**os.environ, **installation.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        few, many = (json.loads(line) for line in done.stdout.splitlines())
        for name, baseline in zip(many["ms"], few["ms"].values(), strict=True):
            told = f"{name}; {many['rows']:,} rows, {many['database']}"
            figures.append(Figure(told, many["ms"][name], "ms", baseline, f"baseline: {few['rows']:,} rows"))
    return figures
