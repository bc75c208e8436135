"""What the SDK's tests share: both clients under one surface, an operator, and a proxy that misbehaves."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal

import httpx
from promptops_client import AsyncPromptOps, Change, Prompt, PromptOps, Status

from tests.servers import Server

Kind = Literal["sync", "async"]
Mode = Literal["open", "no streams", "refuse", "silent", "page"]


def eventually(condition: Callable[[], Any], timeout: float = 15.0) -> Any:
    """What `condition` returns once that is something."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return result


class OnLoop:
    """`AsyncPromptOps` in a loop of its own, with the surface of `PromptOps`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

        async def make() -> AsyncPromptOps:
            return AsyncPromptOps(*arguments, **options)

        self.client: AsyncPromptOps = self.run(make())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def get_prompt(self, *arguments: Any, **options: Any) -> Prompt:
        prompt: Prompt = self.run(self.client.get_prompt(*arguments, **options))
        return prompt

    def render(self, *arguments: Any, **options: Any) -> str:
        text: str = self.run(self.client.render(*arguments, **options))
        return text

    def watch(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        return self.client.watch(callback)

    def status(self, **options: Any) -> Status:
        return self.client.status(**options)

    def close(self) -> None:
        if self.thread.is_alive():
            self.run(self.client.close())
            self.run(self.loop.shutdown_default_executor())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()


AnyClient = PromptOps | OnLoop


def is_streaming(client: AnyClient) -> bool:
    return client.status().state == "streaming"


class Operator:
    """Works on prompts over the server's API, with the static token."""

    def __init__(self, server: Server) -> None:
        self.http: httpx.Client = server.client()

    def data(self, method: str, path: str, **body: Any) -> Any:
        answer = self.http.request(method, path, json=body) if body else self.http.request(method, path)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json().get("data")

    def create(self, key: str, content: str, **fields: Any) -> str:
        """A prompt in prod with one published version, `v1`; returns its id."""
        prompt = self.data("POST", "/api/prompts", **{"key": key, "env": "prod", "content": content, **fields})
        self.data("POST", "/api/prompts/publish", id=prompt["id"], version="v1")
        return str(prompt["id"])

    def publish(self, prompt: str, content: str, **fields: Any) -> str:
        """Returns the new version's label."""
        self.data("PUT", f"/api/prompts/{prompt}", content=content)
        return str(self.data("POST", "/api/prompts/publish", id=prompt, **fields)["version"])

    def token(self, **fields: Any) -> tuple[str, Callable[[], Any]]:
        """An API token, and what revokes it."""
        made = self.data(
            "POST", "/api/tokens", **{"name": "sdk", "role": "viewer", "workspace_id": "default", **fields}
        )
        return made["token"], lambda: self.data("DELETE", f"/api/tokens/{made['id']}")

    def fetched(self, key: str, **query: Any) -> dict[str, Any]:
        answer = self.http.get(f"/api/sdk/prompts/{key}", params={"env": "prod", **query})
        assert answer.is_success, answer.text
        document: dict[str, Any] = answer.json()
        return document


class Proxy:
    """TCP before a server. `mode`: let all through, refuse streams, refuse all, answer nothing, or answer a `page`."""

    def __init__(self, port: int) -> None:
        self.mode: Mode = "open"
        self.page = b""
        self.requests: list[tuple[str, bool, int]] = []  # target, whether it was conditional, the answer's status
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, mode: Mode) -> None:
        """Change the mode, and break every connection there is."""
        self.mode = mode
        for side in list(self._open):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def targets(self, part: str) -> list[tuple[str, bool, int]]:
        return [request for request in self.requests if part in request[0]]

    def close(self) -> None:
        self._listener.close()
        self.cut("refuse")

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(65536)):
                    return
                head += data
            target = head.split(b" ", 2)[1].decode()
            if self.mode == "silent":
                client.recv(1)
            elif self.mode == "no streams" and target.startswith("/ws"):
                client.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif self.mode == "page":
                client.sendall(self.page)
            elif self.mode != "refuse":
                with socket.create_connection(("127.0.0.1", self._upstream)) as server:
                    self._open.add(server)
                    server.sendall(head)
                    if not (answer := server.recv(65536)):
                        return
                    self.requests.append((target, b"if-none-match" in head.lower(), int(answer.split(b" ", 2)[1])))
                    client.sendall(answer)
                    threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                    _pump(server, client)
                    self._open.discard(server)
        self._open.discard(client)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def before(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()
