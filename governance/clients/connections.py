"""Registers this process and its open sockets in the database, so that every process can list those of all.

The same loop runs the periodic tasks that apps have registered.
"""

import asyncio
import logging
import os
import socket as sockets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from governance.clients.models import Connection
from governance.core import processes, registry
from governance.core.db import ago
from governance.core.models import ServerProcess

logger = logging.getLogger("promptops.realtime")

BEAT = 5.0  # seconds between two updates of `seen_at`

FORGET_AFTER = 15.0  # seconds after which a process that doesn't update it is deleted

GATHER = 0.25  # seconds between a change and its write, so that a burst of changes is one write

SWEEP = 20.0  # seconds between two rounds of the registered periodic tasks

Work = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A connection as it is listed."""

    workspace_id: str
    client_type: str
    app: str
    namespace: str
    remote_addr: str
    user_agent: str
    actor: str
    connected_at: datetime


@dataclass(frozen=True, slots=True)
class PeriodicTask(registry.Entry):
    """Run by every server and worker process each 20 seconds, on a thread that may use the database."""

    run: Callable[[], object]


class ConnectionTable:
    """Keeps the table of connections equal to the sockets that are open in this process.

    It writes differences, so that a write which failed is repeated with the next one.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.process_id = uuid.uuid4()
        self._open: dict[uuid.UUID, Presence] = {}
        self._stored: set[uuid.UUID] = set()
        self._changed = asyncio.Event()
        self._swept_at = time.monotonic()

    def add(self, identity: uuid.UUID, presence: Presence) -> None:
        self._open[identity] = presence
        self._changed.set()

    def remove(self, identity: uuid.UUID) -> None:
        if self._open.pop(identity, None) is not None:
            self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled: write differences soon, and update `seen_at` every few seconds."""
        while True:
            try:
                await self.flush()
                processes.current = self.process_id
                if time.monotonic() - self._swept_at > SWEEP:
                    self._swept_at = time.monotonic()
                    for task in registry.entries(PeriodicTask):
                        await self._work(task.run)
            except Exception as error:
                logger.warning("could not register connections, trying again: %s", error)
            try:
                async with asyncio.timeout(BEAT):
                    await self._changed.wait()
                    await asyncio.sleep(GATHER)
            except TimeoutError:
                pass
            self._changed.clear()

    async def flush(self) -> None:
        wanted = dict(self._open)
        added = {key: presence for key, presence in wanted.items() if key not in self._stored}
        removed = self._stored - wanted.keys()
        forgotten = await self._work(_write, self.process_id, added, removed)
        # A process that slept for so long that others forgot it starts over.
        self._stored = set() if forgotten else (self._stored | added.keys()) - removed
        if forgotten and wanted:
            self._changed.set()

    async def leave(self) -> None:
        processes.current = None
        await self._work(_forget, self.process_id)


@transaction.atomic
def _write(process_id: uuid.UUID, added: dict[uuid.UUID, Presence], removed: set[uuid.UUID]) -> bool:
    """Write the difference. Returns whether others had deleted this process, and its connections with it."""
    silent = ServerProcess.objects.filter(seen_at__lt=ago(FORGET_AFTER)).exclude(pk=process_id)
    if gone_silent := list(silent.values_list("pk", flat=True)):
        ServerProcess.objects.filter(pk__in=gone_silent, seen_at__lt=ago(FORGET_AFTER)).delete()
    known = ServerProcess.objects.filter(pk=process_id).update(seen_at=Now())
    if not known:
        ServerProcess.objects.create(
            pk=process_id, host=sockets.gethostname(), pid=os.getpid(), started_at=Now(), seen_at=Now()
        )
    gone = list(removed)
    for start in range(0, len(gone), 500):
        Connection.objects.filter(pk__in=gone[start : start + 500]).delete()
    Connection.objects.bulk_create(
        [
            Connection(
                pk=key,
                process_id=process_id,
                workspace_id=presence.workspace_id,
                client_type=presence.client_type,
                app=presence.app,
                namespace=presence.namespace,
                remote_addr=presence.remote_addr,
                user_agent=presence.user_agent,
                actor=presence.actor,
                connected_at=presence.connected_at,
            )
            for key, presence in added.items()
        ],
        batch_size=500,
        ignore_conflicts=True,
    )
    return not known


def _forget(process_id: uuid.UUID) -> None:
    ServerProcess.objects.filter(pk=process_id).delete()
