"""A small reverse proxy: shows a server under a path, names it as a container's service, weakens entity tags."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator

from tests.servers import Server


class _Connection(socketserver.StreamRequestHandler):
    server: "Proxy"

    def handle(self) -> None:
        first = self.rfile.readline()
        if not first.strip():
            return
        method, target, _ = first.split(b" ", 2)
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        root = self.server.root.encode()
        if not target.startswith(root):
            self.wfile.write(b"HTTP/1.1 502 not mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if self.server.strips:
            target = target.removeprefix(root) or b"/"
        upgrades = any(line.lower().startswith(b"upgrade:") for line in lines)
        dropped = (b"host:", b"connection:") if not upgrades else (b"host:",)
        lines = [line for line in lines if not line.lower().startswith(dropped)]
        lines += [b"Host: %s\r\n" % self.server.name.encode(), b"X-Forwarded-For: 192.0.2.7\r\n"]
        lines += [] if upgrades else [b"Connection: close\r\n"]
        with socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            upstream.sendall(b"%s %s HTTP/1.1\r\n%s\r\n" % (method, target, b"".join(lines)))
            threading.Thread(target=self._send, args=[upstream], daemon=True).start()
            answer = upstream.makefile("rb")
            head = b""
            while (line := answer.readline()).strip():
                head += line
            self.wfile.write(re.sub(rb'(?im)^(etag: )"', rb'\1W/"', head) + b"\r\n")
            while some := answer.read1(65536):
                self.wfile.write(some)

    def _send(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):  # the connection ends while its client may still send
            while some := self.rfile.read1(65536):
                upstream.sendall(some)


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, server: Server, *, root: str, strips: bool, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port, self.root, self.strips, self.name = server.port, root, strips, name
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.address}{root}"


@contextlib.contextmanager
def before(server: Server, *, root: str = "", strips: bool = True, name: str = "prompt_ops:8000") -> Iterator[Proxy]:
    """A proxy before that server: `root` is its path there, which it takes off or not; `name` is the Host it sends."""
    with Proxy(server, root=root, strips=strips, name=name) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
