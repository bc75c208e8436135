"""The open connections of this process, and which of them gets what. It runs on the event loop and never waits."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from governance.access.actors import Actor
from governance.core.errors import BusyError, TooManyStreamsError
from governance.realtime.encoding import EncodedChange
from governance.realtime.frames import CloseCode, Frame, Heartbeat
from governance.realtime.sockets import GRACE, OpenConnection, Socket
from governance.realtime.tail import Position

SILENCE = 4.0  # seconds; a heartbeat is due by five


class Hub:
    """Indexes the open connections of this process: sockets by what they follow, all connections by credential."""

    def __init__(self, *, revision_of: Callable[[Socket], int]) -> None:
        self._revision_of = revision_of
        self._by_environment: dict[uuid.UUID, set[Socket]] = defaultdict(set)
        self._by_workspace: dict[str, set[Socket]] = defaultdict(set)
        self._all_environments: dict[str, set[Socket]] = defaultdict(set)
        self._by_credential: dict[str, set[OpenConnection]] = defaultdict(set)
        self._answers: dict[None, set[OpenConnection]] = defaultdict(set)
        self._open = 0
        self._opening = 0

    def __len__(self) -> int:
        return sum(map(len, self._by_workspace.values()))

    # --- how many there may be; on any thread ---

    def is_full(self) -> bool:
        """Whether this process takes no more."""
        most: int = settings.PROMPTOPS_MAX_SOCKETS
        return self._open + self._opening >= most

    def is_full_for(self, actor: Actor) -> bool:
        """Whether a credential has as many here as it may have."""
        most: int = settings.PROMPTOPS_MAX_SOCKETS_PER_TOKEN
        return len(self._by_credential.get(actor.credential, ())) >= most

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Count a socket whose handshake is not over. Raises BusyError when this process takes no more."""
        if self.is_full():
            raise BusyError("this server has as many streams open as it takes: try again")
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1

    def require_room_for(self, actor: Actor) -> None:
        """Raise TooManyStreamsError when a credential has as many as it may have."""
        if self.is_full_for(actor):
            raise TooManyStreamsError("this credential has as many streams open as it may have")

    # --- what is open ---

    def _indexes(self, connection: OpenConnection) -> list[tuple[Any, Any]]:
        by_credential = (self._by_credential, connection.actor.credential)
        if not isinstance(connection, Socket):
            return [by_credential, (self._answers, None)]
        if connection.environment_id is None:
            followed: tuple[Any, Any] = (self._all_environments, connection.workspace_id)
        else:
            followed = (self._by_environment, connection.environment_id)
        return [followed, (self._by_workspace, connection.workspace_id), by_credential]

    def add(self, connection: OpenConnection) -> None:
        self._open += 1
        for index, key in self._indexes(connection):
            index[key].add(connection)

    def remove(self, connection: OpenConnection) -> None:
        """Remove a connection that was added."""
        self._open -= 1
        for index, key in self._indexes(connection):
            index[key].discard(connection)
            if not index[key]:
                del index[key]

    def sockets(self) -> list[Socket]:
        return [socket for sockets in self._by_workspace.values() for socket in sockets]

    # --- what the tail reports ---

    def workspaces(self) -> Collection[str]:
        return self._by_workspace.keys()

    def deliver(self, position: Position, changes: list[EncodedChange]) -> None:
        for socket in self._by_environment.get(changes[0].environment_id, ()):
            socket.offer(changes)
        for socket in self._all_environments.get(position.workspace_id, ()):
            socket.offer(changes)

    def lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        """Changes of an environment are missing, or it is gone: its clients have to start anew, or can't come back."""
        for socket in self._by_environment.get(environment_id, ()):
            socket.close(CloseCode.NOT_ALLOWED_THERE if gone else CloseCode.RESYNC_NEEDED)
        if not gone:
            for socket in self._all_environments.get(position.workspace_id, ()):
                socket.close(CloseCode.RESYNC_NEEDED)

    def looked(self, at: float) -> None:
        pass

    def unreachable(self) -> None:
        pass

    # --- runs ---

    def watching_runs(self) -> set[str]:
        """The workspaces in which a socket of this process asked for runs."""
        return {
            workspace_id
            for workspace_id, sockets in self._by_workspace.items()
            if any(socket.runs for socket in sockets)
        }

    def publish_run(self, workspace_id: str, environment: str | None, frame: Frame) -> None:
        """Send the frame of a run, or of its step, to the sockets that asked for runs.

        `environment` is that of the token that started the run. A token of one environment gets no other runs.
        """
        text = frame.encode()
        for socket in self._by_workspace.get(workspace_id, ()):
            if socket.runs and socket.actor.environment in (None, environment):
                socket.push_event(text)

    # --- credentials ---

    def actors(self) -> dict[str, Actor]:
        """The credentials of the open connections, each with its actor."""
        return {credential: next(iter(here)).actor for credential, here in self._by_credential.items()}

    def recheck(self, credential: str, actor: Actor | None, visible: Collection[str]) -> None:
        """Close the credential's connections that its access, as it is now, doesn't allow.

        `actor` is its actor now, None if it is no longer valid; `visible` are the workspaces that the actor sees.
        """
        for connection in list(self._by_credential.get(credential, ())):
            if actor is None:
                connection.close(CloseCode.CREDENTIAL_REVOKED)
            elif not connection.may_stay(visible):
                connection.close(CloseCode.NOT_ALLOWED_THERE)
            elif actor.role is not connection.actor.role:
                connection.close(CloseCode.RESYNC_NEEDED)  # the credential holds: come back with the new role

    # --- time ---

    async def beat(self) -> None:
        """Until it is cancelled: send heartbeats in silence, and close expired credentials and stalled clients."""
        while True:
            await asyncio.sleep(0.5)
            self.tick(time.monotonic(), timezone.now())

    def tick(self, now: float, clock: datetime) -> None:
        texts: dict[int, str] = {}
        for socket in self.sockets():
            if socket.close_code is not None:
                if now - socket.closed_at > GRACE:
                    socket.wire.abort()
            elif _has_expired(socket, clock):
                socket.close(CloseCode.CREDENTIAL_REVOKED)
            elif not socket.idle:
                if socket.stalls(now):
                    socket.close(CloseCode.TOO_SLOW)
            elif now - socket.last_sent >= SILENCE:
                if socket.stalls(now):
                    socket.close(CloseCode.TOO_SLOW)
                    continue
                revision = max(self._revision_of(socket), socket.through)
                socket.beat(texts.setdefault(revision, Heartbeat(revision=revision).encode()))
        for answer in list(self._answers.get(None, ())):
            if _has_expired(answer, clock):
                answer.close(CloseCode.CREDENTIAL_REVOKED)


def _has_expired(connection: OpenConnection, clock: datetime) -> bool:
    return connection.actor.expires_at is not None and connection.actor.expires_at <= clock
