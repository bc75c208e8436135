"""The client for threads: each environment is followed by a thread in the background."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from promptops_client import _http
from promptops_client._client import Client, logger
from promptops_client._follower import Follower, run_blocking
from promptops_client._models import Change, Prompt
from promptops_client._wire import STREAM, Answer, LostError, closed_stream, refused_handshake

JOIN = 5.0  # seconds that close() waits for a thread


class _Stopped(BaseException):
    """close() was called: out of whatever the thread is doing. Not an error, so no handler of errors stops it."""


class ThreadFollower(Follower):
    """A follower whose I/O blocks, in a thread of its own."""

    def start(self) -> None:
        self._reload = True
        self._stopping = threading.Event()
        self._first = threading.Event()
        if self.settled:
            self._first.set()
        self._stack = ExitStack()
        self._connection: ClientConnection | None = None
        self._thread = threading.Thread(target=self._main, name=f"promptops-{self.env or 'prompts'}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits for that."""
        self._stopping.set()
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(JOIN)
        self._state = "closed"

    def wait(self, seconds: float) -> None:
        self._first.wait(seconds)

    def start_after_fork(self) -> None:
        """In the child: the thread is not there, and the connection is the parent's."""
        if self._connection is not None:
            self._connection.socket.close()  # in this process; the parent's stays open
        if self._refusal is None and self._state != "closed":
            self._state = "starting"
            self.start()

    def _main(self) -> None:
        with suppress(_Stopped):
            run_blocking(self.run())

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise _Stopped

    async def _get(self, url: str, etag: str | None = None) -> Answer:
        return _http.get(url, self.settings.headers, etag=etag)

    async def _connect(self, url: str) -> None:
        self._go_on()
        try:
            self._connection = self._stack.enter_context(
                connect(url, additional_headers=self.settings.headers, **STREAM)
            )
        except InvalidStatus as refused:
            raise refused_handshake(refused.response.status_code) from None
        except Exception as error:
            raise LostError(f"no stream: {error}") from error

    async def _receive(self, seconds: float) -> str | None:
        self._go_on()
        assert self._connection is not None  # noqa: S101
        try:
            return str(self._connection.recv(seconds))
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            self._go_on()
            raise closed_stream(closed.rcvd.code if closed.rcvd else 1006) from None

    async def _disconnect(self) -> None:
        self._connection = None
        self._stack.close()

    async def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _Stopped

    async def _call(self, function: Callable[[], None]) -> None:
        function()

    def _wake(self) -> None:
        self._first.set()


class PromptOps(Client[ThreadFollower]):
    """Prompts by key, from memory, kept fresh in the background. Safe to share between threads, and over a fork.

    with PromptOps("https://prompts.example.com", api_key) as prompts:
        text = prompts.render("greeting", {"name": "Ada"}, unit="user-1")
    """

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._changes: SimpleQueue[Change | None] = SimpleQueue()
        self._notifier: threading.Thread | None = None
        self._begin(self._default)

    def get_prompt(
        self,
        key: str,
        *,
        env: str | None = None,
        version: str | None = None,
        unit: str | None = None,
        fallback: str | Prompt | None = None,
    ) -> Prompt:
        """The prompt that is served under `key`: from memory, however the server is.

        env: another environment than the default; it is followed from its first use on.
        version: a published version, whatever is live. It is fetched once and kept while its prompt lives.
        unit: whom a rollout's variant sticks to (a user, an account); without it each call draws by weight.
        fallback: what to answer, as content or as a prompt, where this would raise.

        Only a first call waits for the network, at most `start_timeout` seconds. Raises PromptNotFound; NotReady,
        Unauthorized, Forbidden or EnvironmentNotFound while nothing is known at all.
        """
        if env is None and version is None:
            entry = self._default.store.entries.get(key)
            if entry is not None:
                return entry if type(entry) is Prompt else entry.pick(unit)
        return run_blocking(self._find(key, env, version, unit, fallback))

    def render(
        self,
        key: str,
        variables: Mapping[str, Any] | None = None,
        *,
        strict: bool = False,
        env: str | None = None,
        version: str | None = None,
        unit: str | None = None,
        fallback: str | Prompt | None = None,
    ) -> str:
        """The prompt's content with `variables` in it; what has no value stays as it is written.

        Raises as `get_prompt` does, MissingVariables when `strict` and some have no value, CannotRender for a value
        that has no JSON.
        """
        prompt = self.get_prompt(key, env=env, version=version, unit=unit, fallback=fallback)
        return prompt.render(variables, strict=strict)

    def close(self) -> None:
        """Stop following, and wait for the threads. What is known is served on."""
        with self._lock:
            self._closed = True
            followers = list(self._followers.values())
        for follower in followers:
            follower.stop()
        for follower in followers:
            follower.join()
        if self._notifier is not None:
            self._changes.put(None)
            if self._notifier is not threading.current_thread():
                self._notifier.join(JOIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, env: str | None) -> ThreadFollower:
        return ThreadFollower(self._settings, env, self._notify)

    def _begin(self, follower: ThreadFollower) -> None:
        follower.start()

    def _add(self, env: str | None) -> ThreadFollower:
        with self._lock:
            return self._known(env) or super()._add(env)

    async def _wait_for(self, follower: ThreadFollower) -> None:
        follower.wait(self._settings.start_timeout)

    def _notify(self, change: Change) -> None:
        if self._callbacks:
            with self._lock:
                if self._notifier is None:
                    self._notifier = threading.Thread(target=self._run_callbacks, name="promptops-watch", daemon=True)
                    self._notifier.start()
            self._changes.put(change)

    def _run_callbacks(self) -> None:
        while (change := self._changes.get()) is not None:
            for callback in self._callbacks:
                try:
                    callback(change)
                except Exception:
                    logger.exception("a callback failed for %s of %s", change.type, change.key)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # the old one may be locked by a thread of the parent
        self._changes, self._notifier = SimpleQueue(), None
        for follower in self._followers.values():
            follower.start_after_fork()
