"""The client for asyncio: each environment is followed by a task. The surface is that of `PromptOps`."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from promptops_client import _http
from promptops_client._client import Client, logger
from promptops_client._follower import Follower
from promptops_client._models import Change, Prompt
from promptops_client._wire import STREAM, Answer, LostError, closed_stream, refused_handshake


class _Connect(connect):
    """Before websockets 17 it carries the token along when it is redirected to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class TaskFollower(Follower):
    """A follower in a task. Fetches and the copy on disk, which block, are for the loop's threads."""

    active = False  # it follows, or was refused for good

    def start(self) -> None:
        """In the running loop; again, in another one, when its loop has ended."""
        self.active = True
        self._state = "starting"
        self._reload = True
        self._first = asyncio.Event()
        self._stack = AsyncExitStack()
        self._connection: ClientConnection | None = None
        self._task = asyncio.create_task(self._main(), name=f"promptops-{self.env or 'prompts'}")

    async def stop(self) -> None:
        if self.active:
            await _end(self._task)
        self._state = "closed"

    async def _main(self) -> None:
        try:
            await self.run()
        except asyncio.CancelledError:
            self.active = False
            raise

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._first.wait()

    async def _get(self, url: str, etag: str | None = None) -> Answer:
        return await asyncio.to_thread(_http.get, url, self.settings.headers, etag=etag)

    async def _connect(self, url: str) -> None:
        try:
            self._connection = await self._stack.enter_async_context(
                _Connect(url, additional_headers=self.settings.headers, **STREAM)
            )
        except InvalidStatus as refused:
            raise refused_handshake(refused.response.status_code) from None
        except Exception as error:
            raise LostError(f"no stream: {error}") from error

    async def _receive(self, seconds: float) -> str | None:
        assert self._connection is not None  # noqa: S101
        try:
            async with asyncio.timeout(seconds):
                return str(await self._connection.recv())
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            raise closed_stream(closed.rcvd.code if closed.rcvd else 1006) from None

    async def _disconnect(self) -> None:
        self._connection = None
        await self._stack.aclose()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _call(self, function: Callable[[], None]) -> None:
        await asyncio.to_thread(function)

    def _wake(self) -> None:
        self._first.set()


class AsyncPromptOps(Client[TaskFollower]):
    """Prompts by key, from memory, kept fresh by a task in the loop that first uses it.

    async with AsyncPromptOps("https://prompts.example.com", api_key) as prompts:
        text = await prompts.render("greeting", {"name": "Ada"}, unit="user-1")
    """

    def _open(self) -> None:
        self._changes: asyncio.Queue[Change] | None = None
        self._notifier: asyncio.Task[None] | None = None
        with suppress(RuntimeError):  # made outside a loop: it starts at its first use
            asyncio.get_running_loop()
            self._begin(self._default)

    async def get_prompt(
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
        follower = self._default
        if env is None and version is None and follower.active:
            entry = follower.store.entries.get(key)
            if entry is not None:
                return entry if type(entry) is Prompt else entry.pick(unit)
        return await self._find(key, env, version, unit, fallback)

    async def render(
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
        prompt = await self.get_prompt(key, env=env, version=version, unit=unit, fallback=fallback)
        return prompt.render(variables, strict=strict)

    async def close(self) -> None:
        """Stop following, and wait for the tasks. What is known is served on."""
        self._closed = True
        for follower in list(self._followers.values()):
            await follower.stop()
        teller, self._notifier = self._notifier, None
        if teller is not None and teller is not asyncio.current_task():
            await _end(teller)

    async def __aenter__(self) -> Self:
        self._ensure(self._default)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _make(self, env: str | None) -> TaskFollower:
        return TaskFollower(self._settings, env, self._notify)

    def _begin(self, follower: TaskFollower) -> None:
        follower.start()

    def _ensure(self, follower: TaskFollower) -> None:
        if not follower.active and not self._closed:
            follower.start()

    async def _wait_for(self, follower: TaskFollower) -> None:
        await follower.wait(self._settings.start_timeout)

    def _after_fork(self) -> None:
        self._notifier = None
        for follower in self._followers.values():
            follower.active = False  # the loop is the parent's; the next call starts it in its own

    def _notify(self, change: Change) -> None:
        if self._callbacks:
            if self._changes is None or self._notifier is None or self._notifier.done():
                self._changes = asyncio.Queue()
                self._notifier = asyncio.get_running_loop().create_task(self._run_callbacks(self._changes))
            self._changes.put_nowait(change)

    async def _run_callbacks(self, changes: asyncio.Queue[Change]) -> None:
        while True:
            change = await changes.get()
            for callback in self._callbacks:
                try:
                    result = callback(change)
                    if inspect.isawaitable(result):
                        await result
                except Exception:
                    logger.exception("a callback failed for %s of %s", change.type, change.key)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
