"""Real server processes: `manage.py serve` on a port and a database of its own."""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.sql import SQL, Identifier

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "static-token-of-the-tests-0123456789"
#: The servers speak no TLS: their clients need not read all certificates there are, which takes each of them 30 ms.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One installation: a data folder (or `DATABASE_URL`), a port, and a server process that can be killed."""

    def __init__(self, folder: Path, *, port: int | None = None, **variables: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}},
            "PROMPTOPS_DATA_DIR": str(folder),
            "PROMPTOPS_TOKEN": TOKEN,
            "SECRET_KEY": "a-secret-key-for-the-tests-alone-0123456789abcdef",
            "PROMPTOPS_DRAIN_SECONDS": "0.5",
            **variables,
        }

    def manage(self, *words: str) -> str:
        """Run a management command; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *, wait: float = 30.0) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + wait
        with httpx.Client(base_url=self.url, verify=NO_CERTIFICATES) as probe:
            while time.monotonic() < deadline:
                assert self.process.poll() is None, self.log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if probe.get("/readyz", timeout=2).status_code == 200:
                        return
                time.sleep(0.05)
        raise AssertionError(f"not ready in {wait} s:\n{self.log.read_text()}")

    def kill(self) -> None:
        """As if the power went: SIGKILL to the whole group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """As an operator would: SIGTERM, and wait. Returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def memory(self) -> int:
        """The bytes of memory that the process has now."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def client(self, token: str = TOKEN) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=NO_CERTIFICATES)

    def stream_url(self, token: str = TOKEN, **query: str | int) -> str:
        words = "&".join(f"{name}={value}" for name, value in {"token": token, **query}.items())
        return f"ws://127.0.0.1:{self.port}/ws?{words}"


@contextlib.contextmanager
def _first(name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all processes of this test run share, and whether this one is the first in it: the others wait."""
    folder = Path(os.environ["PROMPTOPS_DATA_DIR"]) / name
    folder.mkdir(exist_ok=True)
    done = folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, not done.exists()
        done.touch()


@functools.cache
def migrated() -> Path:
    """A SQLite database with all tables in it, to be copied. It is made once for all processes that run tests."""
    with _first("migrated") as (folder, first):
        if first:
            Server(folder).manage("migrate", "--verbosity", "0")
    return folder / "promptops.sqlite3"


def database_address(name: str) -> str:
    """The DATABASE_URL of another database on the suite's PostgreSQL."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def on_postgres(statement: LiteralString, *names: str) -> None:
    """Run a statement with these identifiers in it on the suite's PostgreSQL."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))


@functools.cache
def migrated_on_postgres() -> str:
    """The name of a PostgreSQL database with all tables in it, to be copied. It is made once, as `migrated` is."""
    name = f"migrated_{Path(os.environ['PROMPTOPS_DATA_DIR']).name}"
    with _first("migrated-on-postgres") as (folder, first):
        if first:
            on_postgres("CREATE DATABASE {}", name)
            Server(folder, DATABASE_URL=database_address(name)).manage("migrate", "--verbosity", "0")
    return name


@contextlib.contextmanager
def running(folder: Path, *, port: int | None = None, **variables: str) -> Iterator[Server]:
    """A migrated installation with its server up; killed at the end."""
    server = Server(folder, port=port, **variables)
    if "DATABASE_URL" in variables:
        server.manage("migrate", "--verbosity", "0")
    else:
        shutil.copy(migrated(), folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def frames(connection: Any, *, until: int, timeout: float = 20.0) -> list[dict[str, Any]]:
    """The frames of a `websockets.sync` connection, heartbeats left out, up to the change with revision `until`."""
    deadline = time.monotonic() + timeout
    seen: list[dict[str, Any]] = []
    while True:
        frame = json.loads(connection.recv(timeout=max(0.1, deadline - time.monotonic())))
        if frame["type"] == "heartbeat":
            continue
        seen.append(frame)
        if frame.get("revision", 0) >= until and frame["type"] not in {"hello"}:
            return seen
