"""`python -m bench [part] ...` measures these parts, or all of them: see `PARTS`."""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench import report
from bench.load import http as load
from bench.load.sockets import Crowd
from bench.parts import attack, runs, views, workflows
from bench.report import Figure
from bench.servers import processes
from bench.servers.processes import Installation, Process

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
#: How many prompts the environment holds when one is fetched.
SIZES = [int(size) for size in os.environ.get("BENCH_SIZES", "1,1000,10000").split(",")]
RATE = "answers a CPU-second"


async def rate(process: Process, raw: bytes, status: int) -> float:
    """Answers a second of the server's own CPU."""
    await load.run(process.port, raw, seconds=0.5)
    before = process.cpu_seconds()
    seen = await load.run(process.port, raw, seconds=SECONDS)
    used = process.cpu_seconds() - before
    if set(seen.statuses) != {status}:
        raise RuntimeError(f"expected only {status}, got {seen.statuses}")
    return seen.answers / used


def http(folder: Path) -> list[Figure]:
    """The SDK fetch, beside a raw hello on the same server."""
    figures: list[Figure] = []
    hello = processes.bare(folder)
    hello.start("/")
    for count in SIZES:
        installation = Installation(folder / f"http-{count}")
        made = installation.prepare(count)
        server = installation.server()
        server.start("/readyz")
        figures += asyncio.run(_fetches(hello, server, installation.token, made, count))
        server.stop()
    hello.stop()
    return figures


async def _fetches(hello: Process, server: Process, static: str, made: dict[str, str], count: int) -> list[Figure]:
    path = "/api/sdk/prompts/prompt-0?env=prod"
    as_static, as_api, as_session = (
        {"Authorization": f"Bearer {secret}"} for secret in (static, made["token"], made["session"])
    )
    pinned, elsewhere = load.request(f"{path}&version=v1", **as_api), "http://elsewhere.example"
    etag = _etag(server, path, made["token"])
    cases: list[tuple[str, bytes, int]] = [
        ("static token", load.request(path, **as_static), 200),
        ("API token", load.request(path, **as_api), 200),
        ("API token, 304", load.request(path, **as_api, **{"If-None-Match": etag}), 304),
        ("API token, pinned version", pinned, 200),
        ("session of a viewer", load.request(path, **as_session), 200),
        ("API token, rollout by unit", load.request("/api/sdk/prompts/rolled?env=prod&unit=ada", **as_api), 200),
        ("by the DRF view", load.request(path, **as_api, Origin=elsewhere), 200),
        ("session by the DRF view", load.request(path, **as_session, Origin=elsewhere), 200),
    ]
    for raw in (*(load.request(path, **headers) for headers in (as_static, as_api, as_session)), pinned):
        await load.run(server.port, raw, seconds=1.0)  # brings what they need into memory
    figures = []
    for what, raw, status in cases:
        before = await rate(hello, load.request("/"), 200)
        value = await rate(server, raw, status)
        after = await rate(hello, load.request("/"), 200)
        figures.append(Figure(f"fetch of 1 among {count:,}: {what}", value, RATE, (before + after) / 2))
    value = await rate(server, load.request("/api/sdk/prompts?env=prod", **as_api), 200)
    figures.append(Figure(f"environment document of {count:,}", value, RATE))
    return figures


def _etag(server: Process, path: str, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  # our own server
        return str(answer.headers["ETag"])


def publish(folder: Path) -> list[Figure]:
    """Saving a draft and publishing it, one after the other."""
    installation = Installation(folder / "publish")
    made = installation.prepare(1)
    server = installation.server()
    server.start("/readyz")
    times = []
    before = server.cpu_seconds()
    for number in range(100):
        _save(server, installation.token, made["prompt"], f"text {number}")
        began = time.perf_counter()
        _publish(server, installation.token, made["prompt"])
        times.append((time.perf_counter() - began) * 1000)
    used = server.cpu_seconds() - before
    server.stop()
    return [
        Figure("publish, median", statistics.median(times), "ms"),
        Figure("save and publish", 100 / used, "a CPU-second"),
    ]


def _call(server: Process, token: str, method: str, path: str, body: dict[str, str]) -> None:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked).close()  # noqa: S310


def _save(server: Process, token: str, prompt: str, content: str) -> None:
    _call(server, token, "PUT", f"/api/prompts/{prompt}", {"content": content})


def _publish(server: Process, token: str, prompt: str) -> None:
    _call(server, token, "POST", "/api/prompts/publish", {"id": prompt})


def fanout(folder: Path) -> list[Figure]:
    """From the publish request to the last socket of one process, beside a bare loop that sends the same bytes."""
    figures: list[Figure] = []
    for count in (200, 1_000, 2_000):
        installation = Installation(folder / f"fanout-{count}")
        made = installation.prepare(1)
        server, bare = installation.server(), processes.bare(folder)
        server.start("/readyz")
        bare.start("/")
        figures += asyncio.run(_fan(server, bare, installation.token, made["prompt"], count))
        server.stop()
        bare.stop()
    return figures


async def _fan(server: Process, bare: Process, token: str, prompt: str, count: int) -> list[Figure]:
    idle = server.memory_bytes()
    ours, theirs = Crowd(), Crowd()
    await ours.gather([server.port], f"/ws?namespace=prod&token={token}", count)
    await asyncio.sleep(2)
    memory = (server.memory_bytes() - idle) / count
    await theirs.gather([bare.port], "/", count)
    text = "x" * 520
    publishes, loops = [], []
    for number in range(8):
        await asyncio.to_thread(_save, server, token, prompt, f"text {number}" + "y" * 200)
        ours.expect(b'"type":"prompt.published"')
        began = time.perf_counter()
        sent = asyncio.create_task(asyncio.to_thread(_publish, server, token, prompt))
        publishes.append((await ours.last() - began) * 1000)
        await sent
        theirs.expect(b"xxxx")
        began = time.perf_counter()
        sent = asyncio.create_task(asyncio.to_thread(_post, bare, text))
        loops.append((await theirs.last() - began) * 1000)
        await sent
    ours.close()
    theirs.close()
    ours_ms, theirs_ms = statistics.median(publishes), statistics.median(loops)
    return [
        Figure(f"publish to the last of {count:,} sockets", ours_ms, "ms", theirs_ms),
        Figure(f"memory a socket, of {count:,}", memory / 1000, "kB"),
    ]


def _post(server: Process, text: str) -> None:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}/", data=text.encode(), method="POST")
    urllib.request.urlopen(asked).close()  # noqa: S310


def crowd(folder: Path) -> list[Figure]:
    """10,000 sockets on two processes, on PostgreSQL and Redis."""
    from tests.faults.tools.redis import (
        running as redis_running,  # real servers from wheels; only tests and this need them
    )
    from tests.postgres import launch

    count = 10_000
    database = launch(folder / "crowd-pg").get_uri()
    with redis_running() as redis_url:
        installation = Installation(folder / "crowd", database_url=database, redis_url=redis_url)
        made = installation.prepare(1)
        servers = [installation.server(), installation.server()]
        for server in servers:
            server.start("/readyz")
        figures = asyncio.run(_crowd(servers, installation.token, made["prompt"], count))
        for server in servers:
            server.stop()
    return figures


async def _crowd(servers: list[Process], token: str, prompt: str, count: int) -> list[Figure]:
    idle = sum(server.memory_bytes() for server in servers)
    listeners = Crowd()
    began = time.perf_counter()
    await listeners.gather([server.port for server in servers], f"/ws?namespace=prod&token={token}", count)
    opened = time.perf_counter() - began
    await asyncio.sleep(3)
    memory = (sum(server.memory_bytes() for server in servers) - idle) / count
    times = []
    for number in range(5):
        await asyncio.to_thread(_save, servers[0], token, prompt, f"text {number}")
        listeners.expect(b'"type":"prompt.published"')
        began = time.perf_counter()
        sent = asyncio.create_task(asyncio.to_thread(_publish, servers[0], token, prompt))
        times.append((await listeners.last() - began) * 1000)
        await sent
    lost, refused = listeners.lost, listeners.refused
    listeners.close()
    note = f"{lost} lost, {refused} refused; opened at {count / opened:,.0f} a second"
    return [
        Figure(f"publish to the last of {count:,} sockets on two processes", statistics.median(times), "ms", note=note),
        Figure(f"memory a socket, of {count:,} on two processes", memory / 1000, "kB"),
    ]


def sdk(folder: Path) -> list[Figure]:
    """The Python SDK's warm calls, from its own script."""
    script = processes.ROOT / "sdk" / "python" / "benchmark.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parent)}
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
    )
    lines = re.findall(r"^ +([0-9,]+) +(.+)$", done.stdout, re.MULTILINE)
    return [Figure(f"SDK: {name}", float(value.replace(",", "")), "a second") for value, name in lines]


PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "http": http,
    "publish": publish,
    "fanout": fanout,
    "crowd": crowd,
    "sdk": sdk,
    "runs": runs.runs,
    "logs": runs.logs,
    "prompts": runs.prompts,
    "views": views.views,
    "workflows": workflows.workflows,
    "attack": attack.attack,
}


def main(names: list[str]) -> None:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="promptops-bench-") as folder:
        for name in names or list(PARTS):
            print(f"measuring: {name}", file=sys.stderr)  # noqa: T201
            found = PARTS[name](Path(folder))
            print(report.table(found), file=sys.stderr)  # noqa: T201  # so that what fails later loses nothing
            figures += found
    print(report.machine())  # noqa: T201
    print(report.table(figures))  # noqa: T201
    report.write_json(figures, processes.ROOT / "var" / "bench.json")


if __name__ == "__main__":
    main(sys.argv[1:])
