"""Realtime of one process: put together, started and stopped with the server."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import close_old_connections

from governance.access.actors import Actor
from governance.clients.connections import ConnectionTable
from governance.core import registry
from governance.core.errors import TooManyStreamsError
from governance.identity.credentials.token_cache import tokens
from governance.realtime.credentials import current_access
from governance.realtime.hub import Hub
from governance.realtime.snapshots import Snapshots
from governance.realtime.sockets import Answer, Socket
from governance.realtime.tail import Listener, Tail

logger = logging.getLogger("promptops.realtime")
T = TypeVar("T")
WAKE_GROUP = "promptops.wake"


@dataclass(frozen=True, slots=True)
class TailListener(registry.Entry):
    """Gets every change that the tail reads in this process, before the sockets do."""

    listener: Listener


@dataclass(frozen=True, slots=True)
class RuntimeTask(registry.Entry):
    """A coroutine that runs for as long as the runtime does, on its event loop; it is cancelled at the end."""

    run: Callable[["Runtime"], Coroutine[Any, Any, None]]


class Runtime:
    """The parts of realtime in this process. It belongs to the event loop that it was made on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.hub = Hub(revision_of=self._revision_of)
        before_sockets = [entry.listener for entry in registry.entries(TailListener)]
        self.tail = Tail([*before_sockets, self.hub], access_changed=self._recheck)
        self.connections = ConnectionTable(self.work)
        self.snapshots = Snapshots(self.work)
        self._threads = ThreadPoolExecutor(4, "realtime")
        self._others_to_wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def work(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` on a thread where it may use the database, and give the connection back."""
        return await self.loop.run_in_executor(self._threads, with_database, function, args)

    def start(self) -> None:
        self.spawn(self.tail.run())
        self.spawn(self.hub.beat())
        self.spawn(self.connections.run())
        for task in registry.entries(RuntimeTask):
            self.spawn(task.run(self))
        if settings.REDIS_URL:
            self.spawn(self._announce())
            self.spawn(self._listen())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.connections.leave()
        except Exception as error:
            logger.warning("could not sign off, other processes will delete this one's row: %s", error)
        self.tail.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task of the runtime, which is cancelled when the runtime stops."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wake(self) -> None:
        """Read the change log at once, and wake the other processes. On any thread."""
        try:
            self.loop.call_soon_threadsafe(self._woken)
        except RuntimeError:
            pass  # the loop has ended; who comes next reads from the start

    def _woken(self) -> None:
        self.tail.wake()
        self._others_to_wake.set()

    async def _announce(self) -> None:
        """Wake the other processes after a commit here. If that is lost, they read the log with their next tick."""
        me = str(self.connections.process_id)
        while True:
            await self._others_to_wake.wait()
            self._others_to_wake.clear()
            try:
                async with asyncio.timeout(1):
                    await get_channel_layer().group_send(WAKE_GROUP, {"type": "wake", "from": me})
            except Exception as error:
                logger.warning("could not wake the other processes: %s", error)

    async def _listen(self) -> None:
        """Wake the tail when another process announces a commit."""
        layer, me = get_channel_layer(), str(self.connections.process_id)
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(WAKE_GROUP, channel)
                while True:
                    message = await layer.receive(channel)
                    if message.get("from") != me:
                        self.tail.wake()
            except Exception as error:
                logger.warning("lost the wake-ups, listening again: %s", error)
                await asyncio.sleep(1)

    def _revision_of(self, socket: Socket) -> int:
        if socket.environment_id is None:
            return self.tail.revision_in(socket.workspace_id)
        return self.tail.revision_of(socket.environment_id)

    def _recheck(self) -> None:
        tokens.clear()
        self.spawn(self.recheck_credentials())

    async def recheck_credentials(self, only: str | None = None) -> None:
        """Close connections whose credentials lost their access: of all credentials, or of `only` one."""
        while True:
            actors = self.hub.actors()
            if only is not None:
                actors = {only: actors[only]} if only in actors else {}
            try:
                found = await self.work(current_access, actors)
            except Exception as error:
                logger.warning("could not check credentials, trying again: %s", error)
                await asyncio.sleep(0.5)
                continue
            for credential, (actor, visible) in found.items():
                self.hub.recheck(credential, actor, visible)
            return


def with_database(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    """Call `function(*args)` on this thread, with a database connection that works, released afterwards."""
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()  # back to the pool, on PostgreSQL; on SQLite the thread keeps it


_runtime: Runtime | None = None


def running() -> Runtime | None:
    """The realtime of this event loop, if it was started."""
    return _runtime if _runtime is not None and _runtime.loop is asyncio.get_running_loop() else None


@asynccontextmanager
async def holding(actor: Actor, workspaces: Collection[str]) -> AsyncIterator[Answer]:
    """Register a streamed answer while the block lasts, so that it ends with its credential, as sockets do."""
    answer, here = Answer(actor, workspaces), running()
    if here is None:  # no server: a test, a command
        yield answer
        return
    here.hub.add(answer)
    here.spawn(here.recheck_credentials(actor.credential))  # it may have ended since it was authenticated
    try:
        yield answer
    finally:
        here.hub.remove(answer)


def refuse_when_full(actor: Actor) -> None:
    """To be called before an answer is streamed, on any thread. Raises TooManyStreamsError when there are too many."""
    if _runtime is not None and (_runtime.hub.is_full() or _runtime.hub.is_full_for(actor)):
        raise TooManyStreamsError("there are as many streams open as there may be: try again later", retry_after=10)


def sockets_here() -> int:
    """How many event streams are open in this process. On any thread."""
    return len(_runtime.hub) if _runtime is not None else 0


def on_commit(environment_id: uuid.UUID, revision: int) -> None:
    """A change was committed in this process. On any thread."""
    on_access_change()


def on_access_change() -> None:
    """A change of access was committed in this process. On any thread."""
    here = _runtime  # read once: the event loop may stop it meanwhile
    if here is not None:
        here.wake()


async def start() -> Runtime:
    """The runtime of this event loop, started if need be: a server without a lifespan starts it with its first use."""
    global _runtime
    if _runtime is None or _runtime.loop is not asyncio.get_running_loop():
        _runtime = Runtime()
        _runtime.start()
    return _runtime


async def stop() -> None:
    """Stop the runtime of this event loop, if there is one."""
    global _runtime
    running, _runtime = _runtime, None
    if running is not None and running.loop is asyncio.get_running_loop():
        await running.stop()
