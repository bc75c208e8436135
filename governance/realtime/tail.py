"""The process's one reader of the change log."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections

from governance.access import revision as access_revision
from governance.changes.models import Change
from governance.realtime.encoding import EncodedChange, encode_change
from governance.tenancy.models import Environment

logger = logging.getLogger("promptops.realtime")
READ_AT_ONCE = 500


@dataclass(slots=True)
class Position:
    """How far this process has read an environment."""

    workspace_id: str
    name: str
    epoch: str
    revision: int


@dataclass(slots=True)
class Reading:
    """What was read of the database at once."""

    access: int
    heads: dict[uuid.UUID, Position]
    changes: dict[uuid.UUID, list[Change]] = field(default_factory=dict)
    more: bool = False


class Listener(Protocol):
    """Gets what the tail reads. All methods are called on the event loop."""

    def workspaces(self) -> Collection[str]:
        """The workspaces whose changes it wants."""

    def deliver(self, position: Position, changes: list[EncodedChange]) -> None:
        """The next changes of one environment, in order; `position` is after the last of them."""

    def lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        """Changes of the environment are missing: what was known of it is void. `gone`: it was deleted."""

    def looked(self, at: float) -> None:
        """The database was read, and everything up to `at` (time.monotonic) was delivered."""

    def unreachable(self) -> None:
        """The database could not be read."""


class Tail:
    """Reads new changes on a wake-up and on a tick, once for each environment that a listener follows."""

    def __init__(self, listeners: Sequence[Listener], *, access_changed: Callable[[], None]) -> None:
        self._listeners = listeners  # in their order: the catalog has a change before a socket gets it
        self._access_changed = access_changed
        self._positions: dict[uuid.UUID, Position] = {}
        self._known: set[str] = set()
        self.access: int | None = None  # the access revision that it has seen
        self._woken = asyncio.Event()
        self._reading = asyncio.Lock()
        # A thread and a connection of its own: requests that wait for the database can't hold up delivery.
        self._thread = ThreadPoolExecutor(1, "tail", initializer=leave_the_pool)

    def wake(self) -> None:
        """Look now. On the event loop only."""
        self._woken.set()

    def revision_of(self, environment_id: uuid.UUID) -> int:
        position = self._positions.get(environment_id)
        return position.revision if position else 0

    def revision_in(self, workspace_id: str) -> int:
        """The highest revision of the workspace's environments."""
        return max((p.revision for p in self._positions.values() if p.workspace_id == workspace_id), default=0)

    async def follow(self, workspace_id: str) -> None:
        """Return when changes of this workspace are delivered. No query if they are already."""
        async with self._reading:
            if workspace_id not in self._known:
                await self._look()

    async def run(self) -> None:
        """Until it is cancelled. A database that can't be reached is read again with the next tick."""
        while True:
            try:
                async with asyncio.timeout(settings.PROMPTOPS_TICK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                async with self._reading:
                    await self._look()
            except Exception as error:
                logger.warning("could not read the change log, trying again: %s", error)
                if isinstance(error, DatabaseError | InterfaceError):
                    for listener in self._listeners:
                        listener.unreachable()
                await asyncio.sleep(settings.PROMPTOPS_TICK_SECONDS)

    def stop(self) -> None:
        self._thread.submit(lambda: connection.close())  # the one of that thread
        self._thread.shutdown(wait=False)

    async def _look(self) -> None:
        """Read the database once; the caller has locked `_reading`."""
        wanted = {workspace for listener in self._listeners for workspace in listener.workspaces()}
        began = time.monotonic()
        positions = {key: at for key, at in self._positions.items() if at.workspace_id in wanted}
        known = self._known & wanted
        loop = asyncio.get_running_loop()
        reading = await loop.run_in_executor(self._thread, _read_with_retry, wanted, positions)
        self._apply(reading, wanted, known, positions)
        for listener in self._listeners:
            listener.looked(began)

    def _apply(self, reading: Reading, wanted: set[str], known: set[str], positions: dict[uuid.UUID, Position]) -> None:
        """Deliver what was read. Nothing here waits, so that positions and deliveries change together."""
        self._positions, self._known = positions, wanted
        for key, head in reading.heads.items():
            position = positions.get(key)
            if position is None:
                # An environment that appeared in a workspace which was followed before is read from its start.
                positions[key] = (
                    head if head.workspace_id not in known else Position(head.workspace_id, head.name, head.epoch, 0)
                )
                if positions[key].revision < head.revision:
                    self._woken.set()
            elif position.epoch != head.epoch or head.revision < position.revision:
                positions[key] = head
                self._lost(key, head, gone=False)
        for key, found in reading.changes.items():
            position = positions[key]
            if not found or found[0].revision != position.revision + 1:
                positions[key] = reading.heads[key]
                self._lost(key, position, gone=False)
                continue
            position.revision = found[-1].revision
            encoded = [encode_change(change, workspace=position.workspace_id, env=position.name) for change in found]
            for listener in self._listeners:
                listener.deliver(position, encoded)
        for key in [key for key in positions if key not in reading.heads]:
            self._lost(key, positions.pop(key), gone=True)
        if reading.more:
            self._woken.set()
        if self.access != reading.access:  # also at first: what is cached may be older than that look
            self._access_changed()
        self.access = reading.access

    def _lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        for listener in self._listeners:
            listener.lost(environment_id, position, gone=gone)


def leave_the_pool() -> None:
    """Give this thread a connection of its own, outside the pool, where all may be taken; it stays open."""
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    connections[own.alias] = own


def _read_with_retry(wanted: set[str], positions: dict[uuid.UUID, Position]) -> Reading:
    """Read; after a failure once more, on a new connection. If that fails too, the database can't be reached."""
    try:
        return _read(wanted, positions)
    except (DatabaseError, InterfaceError):
        return _read(wanted, positions)


def _read(wanted: set[str], positions: dict[uuid.UUID, Position]) -> Reading:
    """On the tail's thread: the heads, and what is new since `positions`. Two queries when nothing is."""
    try:
        rows = Environment.objects.filter(workspace_id__in=wanted) if wanted else Environment.objects.none()
        heads = {env.pk: Position(env.workspace_id, env.name, env.epoch, env.revision) for env in rows}
        # Read after the heads: whoever sees a change here also sees a credential that was revoked before it.
        reading = Reading(access_revision.current(), heads)
        for key, head in heads.items():
            position = positions.get(key)
            if position is None or position.epoch != head.epoch or position.revision >= head.revision:
                continue
            changes = Change.objects.filter(environment_id=key, revision__gt=position.revision).order_by("revision")
            reading.changes[key] = found = list(changes[:READ_AT_ONCE])
            reading.more = reading.more or len(found) == READ_AT_ONCE
        return reading
    except BaseException:
        connection.close()
        raise
