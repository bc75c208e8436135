"""The CPU that one request takes of the views, from the ASGI handler to the answer's bytes.

`python -m bench.parts.views` measures the database of the environment in its own process, and writes JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import Figure
from bench.servers import processes
from bench.servers.processes import Installation

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "200"))
ROUNDS = 3
LONG = 200

#: Makes the body of the request with this number; a write has to change something each time.
Body = Callable[[int], dict[str, Any]] | None


def views(folder: Path) -> list[Figure]:
    """Milliseconds of CPU of a request of each kind, on SQLite."""
    installation = Installation(folder / "views")
    installation.folder.mkdir(exist_ok=True)
    installation.manage("migrate", "--verbosity", "0")
    done = subprocess.run(
        [sys.executable, "-m", "bench.parts.views"],
        cwd=processes.ROOT,
        env={**os.environ, **installation.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [Figure(f"{name}, CPU", value, "ms") for name, value in json.loads(done.stdout).items()]


def fill() -> tuple[str, str]:
    """Five prompts in `dev`, a long list in `prod`; returns an editor's token and the id of a prompt."""
    from governance.access.actors import SYSTEM
    from governance.access.roles import Role
    from governance.identity.tokens import create_token
    from governance.runs import log
    from governance.tenancy.models import Environment
    from prompts.services import create_prompt, publish

    prod, dev = (
        Environment.objects.select_related("workspace").get(workspace_id="default", name=name)
        for name in ("prod", "dev")
    )
    _, token = create_token(actor=SYSTEM, workspace=prod.workspace, name="bench", role=Role.EDITOR)
    content = "You are a helpful assistant for {{company}}. Answer {{name}} in {{language}}. " * 2
    for place, count in ((dev, 5), (prod, LONG)):
        for number in range(count):
            prompt = create_prompt(
                actor=SYSTEM, environment=place, key=f"prompt-{number}", content=content, tags=["a", "b"]
            )
            publish(actor=SYSTEM, prompt=prompt, version="v1")
    for _ in range(LONG):
        log.start(actor=SYSTEM, workspace_id="default", source="playground")
    return token, str(prompt.pk)


def cases(prompt: str) -> dict[str, tuple[str, str, Body]]:
    return {
        "list of 5 prompts": ("GET", "/api/prompts?env=dev", None),
        f"list of {LONG} prompts": ("GET", "/api/prompts?env=prod", None),
        "one prompt": ("GET", f"/api/prompts/{prompt}", None),
        "pinned version by the DRF view": ("GET", "/api/sdk/prompts/prompt-0?version=v1", None),
        "change of a prompt": ("PUT", f"/api/prompts/{prompt}", lambda number: {"content": f"text {number} " * 9}),
        "run on the mock": ("POST", "/api/playground/run", lambda number: {"content": f"Hello {number}"}),
        "page of 50 runs": ("GET", "/api/runs", None),
        "page of 50 audit entries": ("GET", "/api/audit", None),
    }


def request(token: str, method: str, path: str, body: bytes) -> tuple[dict[str, Any], Callable[[], Any]]:
    """An ASGI scope with the headers that HTTP clients send, and what is received in it."""
    path, _, query = path.partition("?")
    headers = {
        "host": "localhost:8000",
        "user-agent": "bench",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "authorization": f"Bearer {token}",
    }
    if body:
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return scope, receive


async def measure(application: Any, token: str, all_cases: dict[str, tuple[str, str, Body]]) -> dict[str, float]:
    """Milliseconds of CPU a request: of several rounds over all cases the best."""
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, (method, path, body) in all_cases.items():
            count = max(10, REQUESTS // 10) if str(LONG) in name else REQUESTS
            numbers = iter(range(count + 10))
            await _ask(application, token, method, path, body, [next(numbers) for _ in range(10)])
            before = time.process_time()
            await _ask(application, token, method, path, body, list(numbers))
            used = (time.process_time() - before) * 1000 / count
            best[name] = min(used, best.get(name, used))
    return {name: round(value, 3) for name, value in best.items()}


async def _ask(application: Any, token: str, method: str, path: str, body: Body, numbers: list[int]) -> None:
    for number in numbers:
        content = json.dumps(body(number)).encode() if body else b""
        scope, receive = request(token, method, path, content)
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        await application(scope, receive, send)
        if sent[0]["status"] != 200:
            raise RuntimeError(f"{method} {path}: {sent}")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
    os.environ.setdefault("PROMPTOPS_LOG_LEVEL", "WARNING")
    import django

    django.setup()
    from promptops.server.handler import Handler

    token, prompt = fill()
    print(json.dumps(asyncio.run(measure(Handler(), token, cases(prompt)))))  # noqa: T201


if __name__ == "__main__":
    main()
