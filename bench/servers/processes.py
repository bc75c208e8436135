"""Server processes under measurement: ours and the bare one, with the same uvicorn settings."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A server on a port of its own, and what it used."""

    def __init__(self, command: list[str], *, port: int, environment: dict[str, str], log: Path) -> None:
        self.port = port
        self._command = command
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, path: str) -> None:
        """Start, and wait until GET `path` is answered; for nothing when there is no path."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own server
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        if not path:
            return
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2).close()
                return
            time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cpu_seconds(self) -> float:
        """The CPU that the process has used so far, its own and the kernel's for it."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self) -> int:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def _pid(self) -> int:
        assert self._process is not None  # noqa: S101  # measured between start and stop
        return self._process.pid


def bare(folder: Path) -> Process:
    port = free_port()
    command = [sys.executable, "-m", "bench.servers.serve_bare", str(port)]
    return Process(command, port=port, environment=dict(os.environ), log=folder / f"bare-{port}.log")


def post(server: Process, token: str, path: str, body: dict[str, str]) -> dict[str, dict[str, str]]:
    """POST to the server's API, and its answer. Raises HTTPError."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  # our own server
        content: dict[str, dict[str, str]] = json.load(answer)
        return content


class Installation:
    """A database with so many prompts in it, and servers on it."""

    def __init__(self, folder: Path, *, database_url: str = "", redis_url: str = "") -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self.environment = {
            **os.environ,
            "PROMPTOPS_DATA_DIR": str(folder),
            "PROMPTOPS_TOKEN": self.token,
            "SECRET_KEY": secrets.token_urlsafe(40),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        }
        if not database_url:
            del self.environment["DATABASE_URL"]

    def manage(self, *words: str) -> str:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def prepare(self, prompts: int) -> dict[str, str]:
        """Migrate and seed; returns what bench/servers/seed.py made, by name."""
        self.manage("migrate", "--verbosity", "0")
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "bench.servers.seed", str(prompts)],
            cwd=ROOT,
            env={**self.environment, "DJANGO_SETTINGS_MODULE": "promptops.settings"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def server(self) -> Process:
        port = free_port()
        command = [sys.executable, "manage.py", "serve", "--port", str(port)]
        return Process(command, port=port, environment=self.environment, log=self.folder / f"server-{port}.log")

    def worker(self) -> Process:
        """A `manage.py worker`, which serves no port."""
        command = [sys.executable, "manage.py", "worker"]
        log = self.folder / f"worker-{time.monotonic_ns()}.log"
        return Process(command, port=0, environment=self.environment, log=log)
