"""Backlogs: what a client missed that comes back, as single changes or as a snapshot."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from governance.changes.models import Change
from governance.core import registry
from governance.realtime import frames
from governance.realtime.encoding import EncodedChange, encode_change
from governance.realtime.frames import JsonText
from governance.realtime.wire import Shared, Text
from governance.tenancy.models import Environment

#: More changes than this, or more text in them, are not replayed one by one: a snapshot costs less.
REPLAY_AT_MOST = 5_000
REPLAY_BYTES_AT_MOST = 4 * 1024 * 1024

Work = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class DocumentSource(registry.Entry):
    """`texts` returns all documents that an environment serves. It reads the database."""

    texts: Callable[[Environment], list[JsonText]]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What brings a client to `revision`: hello first. Changes stay as they are, since other sockets share them."""

    revision: int
    items: list[Text | EncodedChange]


class Snapshot(Shared):
    """All that an environment served at a revision, as one frame that sockets share."""

    __slots__ = ("epoch", "revision")

    def __init__(self, environment: Environment) -> None:
        self.epoch, self.revision = environment.epoch, environment.revision
        documents = [text for source in registry.entries(DocumentSource) for text in source.texts(environment)]
        frame = frames.Snapshot(revision=environment.revision, documents=documents)
        super().__init__(frame.encode())


class Snapshots:
    """One snapshot of an environment for all clients that wait for one, until the last of them has it.

    Until then, later clients get the same one and the changes since. So many clients that come back at once, or that
    don't read, cost one snapshot.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._shared: WeakValueDictionary[uuid.UUID, Snapshot] = WeakValueDictionary()
        self._making: dict[uuid.UUID, asyncio.Future[Snapshot]] = {}

    async def backlog(self, environment_id: uuid.UUID, *, since: int, epoch: str | None, drafts: bool) -> Backlog:
        """What a client that has seen `since` of `epoch` has missed."""
        resumed: Backlog | None = await self._work(_resumed, environment_id, since, epoch, drafts)
        if resumed is not None:
            return resumed
        while True:
            snapshot = await self._of(environment_id)
            whole: Backlog | None = await self._work(_from_snapshot, environment_id, snapshot, drafts)
            if whole is not None:
                return whole
            if self._shared.get(environment_id) is snapshot:  # too much happened since, or the epoch is another
                del self._shared[environment_id]

    async def _of(self, environment_id: uuid.UUID) -> Snapshot:
        snapshot = self._shared.get(environment_id)
        if snapshot is not None:
            return snapshot
        making = self._making.get(environment_id)
        if making is None:
            making = self._making[environment_id] = asyncio.ensure_future(self._work(_make, environment_id))
            making.add_done_callback(lambda made: self._made(environment_id, made))
        return await asyncio.shield(making)

    def _made(self, environment_id: uuid.UUID, made: "asyncio.Future[Snapshot]") -> None:
        del self._making[environment_id]
        if not made.cancelled() and made.exception() is None:
            self._shared[environment_id] = made.result()


def _make(environment_id: uuid.UUID) -> Snapshot:
    """The head is read before the documents: what changes meanwhile is replayed, and may be in them already."""
    return Snapshot(Environment.objects.get(pk=environment_id))


def _resumed(environment_id: uuid.UUID, since: int, epoch: str | None, drafts: bool) -> Backlog | None:
    """The changes after `since`; None when they can't be replayed one by one."""
    environment = Environment.objects.get(pk=environment_id)
    changes = _replay(environment, since) if epoch in (None, environment.epoch) else None
    return None if changes is None else _backlog(environment, environment.revision, True, [], changes, drafts)


def _from_snapshot(environment_id: uuid.UUID, snapshot: Snapshot, drafts: bool) -> Backlog | None:
    environment = Environment.objects.get(pk=environment_id)
    changes = _replay(environment, snapshot.revision) if snapshot.epoch == environment.epoch else None
    return None if changes is None else _backlog(environment, snapshot.revision, False, [snapshot], changes, drafts)


def _backlog(
    environment: Environment,
    revision: int,
    resumed: bool,
    first: list[Snapshot],
    changes: list[EncodedChange],
    drafts: bool,
) -> Backlog:
    hello = frames.Hello(revision=revision, epoch=environment.epoch, resumed=resumed)
    wanted = (change for change in changes if drafts or change.text is not None)
    through = max([revision, environment.revision, *(change.revision for change in changes)])
    return Backlog(through, [hello.encode(), *first, *wanted])


def _replay(environment: Environment, since: int) -> list[EncodedChange] | None:
    """Every change after `since`; None when some were deleted, they are too many, or `since` is beyond the head.

    The head was read before: changes that come meanwhile are in it as well, and none is lost.
    """
    head = environment.revision
    if since == head:
        return []
    if since > head or head - since > REPLAY_AT_MOST:
        return None
    found, size = [], 0
    changes = Change.objects.filter(environment=environment, revision__gt=since).order_by("revision")
    for change in changes.iterator(chunk_size=100):
        found.append(encode_change(change, workspace=environment.workspace_id, env=environment.name))
        size += len(change.document or "")
        if size > REPLAY_BYTES_AT_MOST:
            return None
    return found if found and found[0].revision == since + 1 else None
