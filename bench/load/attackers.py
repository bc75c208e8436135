"""One attacker, as a process of its own: `python -m bench.load.attackers <kind> <port> <token> <seconds>`.

The anonymous ones send no token; the others have a viewer's. Each does the worst that it can think of for so many
seconds, on few connections, and prints how many answers of each status it had.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import quote

HOST = "127.0.0.1"
JSON = {"Content-Type": "application/json"}
A_SECOND = 10


class Attack:
    def __init__(self, port: int, token: str, seconds: float) -> None:
        self.port = port
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.until = time.monotonic() + seconds
        self.statuses: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    async def send(self, raw: bytes, *, patience: float = 30.0, keep: bool = False) -> None:
        """Send that on a connection of its own, note the status, and read on (`keep`: leave it open, unread)."""
        writer = None
        try:
            async with asyncio.timeout(min(patience, max(0.1, self.until - time.monotonic()))):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                writer.write(raw)
                line = await reader.readline()
                self.statuses[line.split(b" ")[1].decode() if line.count(b" ") else "closed"] += 1
                if keep:
                    await asyncio.sleep(3600)
                while await reader.read(65536):
                    pass
        except TimeoutError:
            self.statuses["no end"] += 1
        except OSError:
            self.statuses["closed"] += 1
        finally:
            if writer is not None:
                writer.close()

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> None:
        raw = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", f"Content-Length: {len(raw)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode() + raw)

    async def again(self, times: int, what: Callable[[], Awaitable[None]]) -> None:
        """So many at once, each anew when it is over; after the first burst no more than A_SECOND in all.

        It is what a single request does that is measured. A flood takes what so many requests cost, whatever they are.
        """

        async def one() -> None:
            while self.goes_on:
                began = time.monotonic()
                await what()
                await asyncio.sleep(max(0.0, times / A_SECOND - (time.monotonic() - began)))

        await asyncio.gather(*(one() for _ in range(times)))

    def stream(self, path: str, **headers: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()

    # --- anonymous ---

    async def hostile_addresses(self) -> None:
        """Addresses and hosts that are hard on expressions which look through log lines."""

        async def both() -> None:
            await self.send(self.stream("/ws?" + "?%" * 1600))
            await self.send(f"GET /api/prompts HTTP/1.1\r\nHost: {'?%' * 1600}\r\nConnection: close\r\n\r\n".encode())

        await self.again(4, both)

    async def half_sent_heads(self) -> None:
        """A thousand connections that never finish what they ask, and heads without an end."""

        async def half() -> None:
            await self.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        async def endless() -> None:
            await self.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"y" * 20_000_000)

        await asyncio.gather(self.again(1000, half), self.again(2, endless))

    async def logins(self) -> None:
        async def login() -> None:
            body = {"username": f"user-{time.monotonic_ns()}", "password": "wrong-password"}
            await self.ask("POST", "/api/login", body, **JSON)

        await self.again(60, login)

    async def guessed_tokens(self) -> None:
        async def guess() -> None:
            await self.ask("GET", "/api/prompts", Authorization=f"Bearer guess-{time.monotonic_ns()}")

        await self.again(16, guess)

    # --- with a viewer's token ---

    async def stalled_runs(self) -> None:
        """Runs on a model that never answers, a third of them as streams."""
        body = {"content": "hi", "provider": "mock", "model": "mock-stall"}

        async def run() -> None:
            await self.ask("POST", "/api/playground/run", body, **self.bearer, **JSON)

        async def stream() -> None:
            await self.ask("POST", "/api/playground/run", {**body, "stream": True}, **self.bearer, **JSON)

        await asyncio.gather(self.again(90, run), self.again(40, stream))

    async def searches(self) -> None:
        """Texts of equal characters, against prompts of equal characters."""

        async def search() -> None:
            for length in (20_000, 500, 100):
                await self.ask("GET", f"/api/prompts?q={quote('a' * length)}", **self.bearer)

        await self.again(4, search)

    async def sockets_that_do_not_read(self) -> None:
        path = "/ws?namespace=prod&since=0&epoch=another"
        await self.again(60, lambda: self.send(self.stream(path, **self.bearer), keep=True))

    async def hard_templates(self) -> None:
        """Texts that are nothing but braces, and variables that are deep."""
        deep: object = "x"
        for _ in range(50):
            deep = {"a": deep}
        body = {"content": "{{" * 60_000 + "{{ a.a.a }}" * 5_000, "variables": {"a": deep}, "provider": "mock"}
        await self.again(4, lambda: self.ask("POST", "/api/playground/run", body, **self.bearer, **JSON))


ANONYMOUS = ("hostile_addresses", "half_sent_heads", "logins", "guessed_tokens")
VIEWER = ("searches", "stalled_runs", "hard_templates", "sockets_that_do_not_read")


async def main(kind: str, port: int, token: str, seconds: float) -> None:
    attack = Attack(port, token, seconds)
    await getattr(attack, kind)()
    print(json.dumps(attack.statuses))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
