"""What needs processes of its own: forks (as of gunicorn's `--preload`), exits, what is imported, the examples."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sdk.support import Operator, eventually
from tests.servers import ROOT, TOKEN, Server

pytestmark = pytest.mark.faults

SCRIPT = r"""
import os, sys, threading, time
from promptops_client import PromptOps

url, token, key, folder = sys.argv[1:]
client = PromptOps(url, token, env="prod", app=key, cache_dir=folder)
heard = []
client.watch(lambda change: heard.append(change.version) if change.key == key else None)

def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, (client.status(), heard)
        time.sleep(0.01)

def say(line):
    os.write(1, f"{line}\n".encode())  # at once and whole, unlike print's

def follow(name):
    started = time.perf_counter()
    assert client.get_prompt(key).content == "one"
    assert not warm or time.perf_counter() - started < 0.5, "it waited for the network"
    until(lambda: client.status().state == "streaming")
    say(f"{name} follows")
    until(lambda: client.get_prompt(key).content == "two" and heard == ["v2"])
    client.close()
    assert threading.active_count() == 1, threading.enumerate()
    say(f"{name} has it")

warm = sys.stdin.readline().strip() == "warm"
if warm:
    client.get_prompt(key)
    until(lambda: client.status().state == "streaming")
children = []
for number in range(2):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            follow(f"child {number}")
            code = 0
        finally:
            os._exit(code)
    children.append(child)
follow("parent")
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(max(codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", ["warm", "starting"])
def test_after_a_fork_each_process_follows_by_itself(
    server: Server, operator: Operator, key: str, tmp_path: Path, moment: str
) -> None:
    prompt = operator.create(key, "one")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, server.url, TOKEN, key, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{moment}\n")
    process.stdin.flush()
    try:
        names = {"parent", "child 0", "child 1"}
        assert {process.stdout.readline() for _ in names} == {f"{name} follows\n" for name in names}
        eventually(lambda: [c["app"] for c in operator.data("GET", "/api/clients")].count(key) == 3)
        operator.publish(prompt, "two")
        out, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors
        assert set(out.splitlines()) == {f"{name} has it" for name in names}
    finally:
        process.kill()
        process.wait()


ASYNC_SCRIPT = r"""
import asyncio, os, sys
from promptops_client import AsyncPromptOps

url, token, key = sys.argv[1:]
client = AsyncPromptOps(url, token, env="prod", cache_dir=False)

async def streams():
    async with asyncio.timeout(20):
        assert (await client.get_prompt(key)).content == "one"
        while client.status().state != "streaming":
            await asyncio.sleep(0.01)

async def main():
    await streams()
    child = os.fork()
    if child == 0:
        asyncio._set_running_loop(None)  # as a server's worker, that begins with a loop of its own
        code = 1
        try:
            asyncio.new_event_loop().run_until_complete(streams())
            code = 0
        finally:
            os._exit(code)
    sys.exit(os.waitstatus_to_exitcode(await asyncio.to_thread(lambda: os.waitpid(child, 0)[1])))

asyncio.run(main())
"""


def run(script: str, *arguments: str, **options: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python"), **options}
    words = [sys.executable, *(["-c"] if "\n" in script else []), script, *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=40, input="\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_asyncio_client_follows_in_the_loop_of_a_forked_child(server: Server, operator: Operator, key: str) -> None:
    operator.create(key, "one")
    done = run(ASYNC_SCRIPT, server.url, TOKEN, key)
    assert done.returncode == 0, done.stderr


def test_a_process_that_does_not_close_ends_at_once(server: Server, operator: Operator, key: str) -> None:
    operator.create(key, "one")
    script = """
import sys
from promptops_client import PromptOps
client = PromptOps(sys.argv[1], sys.argv[2], env="prod", cache_dir=False)
client.watch(print)
print(client.get_prompt(sys.argv[3]).content)
"""
    started = time.monotonic()
    done = run(script, server.url, TOKEN, key)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "")
    assert time.monotonic() - started < 10


def test_the_package_brings_two_others_and_nothing_of_the_server() -> None:
    script = """
import sys
before = set(sys.modules)
import promptops_client
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(name for name in new if name not in sys.stdlib_module_names and not name.startswith("_")))
"""
    assert run(script).stdout.split() == ["mmh3", "promptops_client", "websockets"]


def test_the_examples_run(server: Server, operator: Operator, key: str, tmp_path: Path) -> None:
    operator.create(key, "Hello {{name}}")
    place = {"PROMPTOPS_BASE_URL": server.url, "PROMPTOPS_API_KEY": TOKEN, "PROMPTOPS_CACHE_DIR": str(tmp_path)}
    examples = ROOT / "sdk" / "python" / "examples"
    fetched = run(str(examples / "fetch.py"), key, "name=Ada", **place)
    assert fetched.stdout.splitlines() == [f"{key} v1 asks for name", "Hello Ada"], fetched.stderr
    assert "Status(" in run(str(examples / "watch.py"), **place).stdout
    shown = run(str(examples / "asyncio_app.py"), key, "2", **place)
    assert shown.stdout.count("Hello visitor") == 2, shown.stderr
