"""The base of both clients: everything but the I/O. Its coroutines wait in the asyncio client only."""

import logging
import os
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from promptops_client._errors import NotReady, PromptNotFound, PromptOpsError
from promptops_client._follower import Follower
from promptops_client._models import Change, Prompt, Status
from promptops_client._rollouts import Rollout
from promptops_client._wire import Settings

logger = logging.getLogger("promptops_client")

FollowerT = TypeVar("FollowerT", bound=Follower)
Folder = str | os.PathLike[str] | Literal[False]
RETRY_PIN = 5.0  # seconds until a pinned version that could not be fetched is asked for again
PINS_MISSED = 1024  # how many of those are remembered


class Client(ABC, Generic[FollowerT]):
    """The followers of each environment, the first of which is the default one, and the callbacks of `watch`."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        env: str | None = None,
        workspace: str | None = None,
        app: str | None = None,
        cache_dir: Folder | None = None,
        start_timeout: float = 5.0,
        poll_interval: float = 10.0,
    ) -> None:
        """Start following the default environment. Nothing here waits for the network.

        base_url, api_key, env, workspace: else from PROMPTOPS_BASE_URL, PROMPTOPS_API_KEY, PROMPTOPS_ENV and
            PROMPTOPS_WORKSPACE; without an environment the server's default is meant (the key's own, else `prod`).
        app: the application's name in the server's list of clients; else PROMPTOPS_APP.
        cache_dir: where the last-known-good copy is kept; else PROMPTOPS_CACHE_DIR or the user's cache folder.
            False keeps none.
        start_timeout: seconds that a first call may wait for the first fetch.
        poll_interval: seconds between fetches while there is no stream; at most, they are spread.

        Raises ConfigurationError.
        """
        self._settings = Settings.of(
            base_url=base_url,
            api_key=api_key,
            workspace=workspace,
            app=app,
            cache_dir=cache_dir,
            start_timeout=start_timeout,
            poll_interval=poll_interval,
        )
        self._callbacks: tuple[Callable[[Change], object], ...] = ()
        self._closed = False
        self._missed_pins: dict[tuple[str | None, str, str], tuple[float, PromptOpsError]] = {}
        self._default = self._make(env or os.environ.get("PROMPTOPS_ENV") or None)
        self._followers: dict[str | None, FollowerT] = {self._default.env: self._default}
        self._open()
        _alive.add(self)

    def watch(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` with each change of what is served, in order; returns what ends that.

        Callbacks run apart from the delivery of changes, so that a slow one delays only other callbacks. An exception
        in one is logged, and has no other effect.
        """
        wrapped = lambda change: callback(change)  # noqa: E731  # each watch ends by itself, also of one callback
        self._callbacks = (*self._callbacks, wrapped)

        def unwatch() -> None:
            self._callbacks = tuple(known for known in self._callbacks if known is not wrapped)

        return unwatch

    def status(self, *, env: str | None = None) -> Status:
        """The state of the copy of an environment. It does not start to follow one."""
        follower = self._known(env)
        if follower is None:
            return Status("closed" if self._closed else "starting", env, 0, 0, "none", None, None)
        return follower.status()

    # --- shared by get_prompt and render ---

    async def _find(
        self, key: str, env: str | None, version: str | None, unit: str | None, fallback: str | Prompt | None
    ) -> Prompt:
        try:
            follower = self._known(env) or self._add(env)
            self._ensure(follower)
            if not follower.settled and (version is None or (key, version) in follower.pins):
                await self._wait_for(follower)
                follower.settled = True  # also when it took too long: the next call does not wait as well
            if version is not None:
                return follower.pins.get((key, version)) or await self._pinned(follower, key, version)
            entry = follower.entry(key)
            return entry.pick(unit) if isinstance(entry, Rollout) else entry
        except PromptOpsError as error:
            if fallback is None:
                raise
            logger.debug("the fallback stands in for %s: %s", key, error)
            if isinstance(fallback, Prompt):
                return fallback
            return Prompt(key=key, version="fallback", env=env or self._default.env or "", model="", content=fallback)

    async def _pinned(self, follower: FollowerT, key: str, version: str) -> Prompt:
        """Fetch a version that is not in memory. After a failure it is not asked for again for RETRY_PIN seconds."""
        name = (follower.env, key, version)
        until, error = self._missed_pins.get(name, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise type(error)(*error.args)
        if self._closed:
            raise NotReady("the client is closed")
        try:
            prompt = await follower.pinned(key, version)
        except (PromptNotFound, NotReady) as missed:
            if len(self._missed_pins) >= PINS_MISSED:
                self._missed_pins.clear()
            self._missed_pins[name] = (time.monotonic() + RETRY_PIN, missed)
            raise
        self._missed_pins.pop(name, None)
        return prompt

    def _known(self, env: str | None) -> FollowerT | None:
        if env is None or env == self._default.store.env:
            return self._default
        return self._followers.get(env)

    def _add(self, env: str | None) -> FollowerT:
        if self._closed:
            raise NotReady("the client is closed")
        follower = self._make(env)
        self._followers[env] = follower
        self._begin(follower)
        return follower

    def _ensure(self, follower: FollowerT) -> None:
        """Start the follower again, if it ended with the event loop that it ran in."""

    @abstractmethod
    def _open(self) -> None:
        """Prepare, and start to follow the default environment."""

    @abstractmethod
    def _make(self, env: str | None) -> FollowerT: ...

    @abstractmethod
    def _begin(self, follower: FollowerT) -> None:
        """Start it."""

    @abstractmethod
    async def _wait_for(self, follower: FollowerT) -> None:
        """Wait until its first fetch is over; at most `start_timeout` seconds."""

    @abstractmethod
    def _after_fork(self) -> None:
        """In the child process: the parent's threads, tasks and connections are not usable; start to follow anew."""


_alive: "weakref.WeakSet[Client[Any]]" = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_alive):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
