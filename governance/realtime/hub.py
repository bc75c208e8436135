"""The open connections of this process, and which of them gets what. It runs on the event loop and never waits."""

import asyncio
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from governance.access.actors import Actor
from governance.core.errors import BusyError, TooManyStreamsError
from governance.realtime.encoding import EncodedChange
from governance.realtime.frames import CloseCode, Frame, Heartbeat
from governance.realtime.tail import Position
from governance.realtime.wire import NO_WIRE, Text, Wire

Send = Callable[[dict[str, Any]], Awaitable[None]]

#: What may wait for one client. Frames are shared by all sockets, so what waits is in memory once; a burst of large
#: documents in one transaction has to fit, since it arrives here at once.
MAX_PENDING_BYTES = 32 * 1024 * 1024
SILENCE = 4.0  # seconds; a heartbeat is due by five
PATIENCE = 20.0  # seconds for which a client may read nothing of what waits for it
GRACE = 10.0  # seconds that a client has to answer the close, before the connection is cut


class Listener(Protocol):
    """An open connection, which ends with its credential: a socket, or an answer that is a stream of events."""

    actor: Actor
    close_code: CloseCode | None

    def may_stay(self, visible: Collection[str]) -> bool: ...
    def close(self, code: CloseCode) -> None: ...


class Answer:
    """An answer to a request that goes on as a stream of events, as the hub knows it."""

    def __init__(self, actor: Actor, workspaces: Collection[str]) -> None:
        self.actor = actor
        self.close_code: CloseCode | None = None
        self.closed = asyncio.Event()
        self._workspaces = frozenset(workspaces)

    def may_stay(self, visible: Collection[str]) -> bool:
        return self._workspaces.issubset(visible)

    def close(self, code: CloseCode) -> None:
        if self.close_code is None:
            self.close_code = code
            self.closed.set()


class Socket:
    """One client's stream: a bounded queue of texts and the task that writes them, so that no client delays another.

    Who waits for nothing is written to at once, past queue and task.

    The backlog of a client that comes back is not counted: its length is no sign of a slow client. A client counts as
    slow when it takes nothing of what waits for it.
    """

    __slots__ = (
        "_backlog",
        "_before_live",
        "_bytes",
        "_looked_at",
        "_queue",
        "_ready",
        "_sent",
        "_taken",
        "_writing",
        "actor",
        "close_code",
        "closed_at",
        "deletes",
        "drafts",
        "environment_id",
        "id",
        "last_sent",
        "runs",
        "texts",
        "through",
        "wire",
        "workspace_id",
    )

    def __init__(
        self,
        *,
        actor: Actor,
        workspace_id: str,
        environment_id: uuid.UUID | None,
        drafts: bool,
        since: int | None,
        runs: bool = False,
        deletes: bool = False,
        wire: Wire = NO_WIRE,
    ) -> None:
        self.id = uuid.uuid4()
        self.actor = actor
        self.workspace_id = workspace_id
        self.environment_id = environment_id  # None: all of the workspace's
        self.drafts = drafts
        self.runs = runs  # whether it asked for the frames of runs
        self.texts = since is not None  # a client without `since` takes every text for a change: it gets pings instead
        self.deletes = deletes or since is not None
        self.last_sent = time.monotonic()
        self.close_code: CloseCode | None = None
        self.closed_at = 0.0
        self.wire = wire
        self.through = 0  # the backlog went up to here; the tail may be behind it
        self._before_live: list[EncodedChange] | None = (
            [] if since is not None else None
        )  # changes that wait for the backlog
        self._backlog: deque[Text | EncodedChange] = deque()
        self._queue: deque[str] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._writing = False
        self._sent = 0  # texts that were handed on by ASGI
        self._taken = (-1, -1)  # the most that the client had taken so far, and when we saw that
        self._looked_at = 0.0

    @property
    def idle(self) -> bool:
        return self._before_live is None and not self._backlog and not self._queue and not self._writing

    def may_stay(self, visible: Collection[str]) -> bool:
        return self.workspace_id in visible

    def offer(self, changes: Iterable[EncodedChange]) -> None:
        """Send those of the changes that the client asked for and has not seen."""
        if self._before_live is not None:
            self._before_live.extend(changes)
            return
        for change in changes:
            text = change.draft_text if self.drafts else change.text
            if text is not None and change.revision > self.through and (self.deletes or not change.deletes):
                self.push(text)

    def push_event(self, text: str) -> None:
        """Send what belongs to no revision, unless the backlog has not been sent: the event may be repeated later."""
        if self._before_live is None:
            self.push(text)

    def go_live(self, revision: int, items: Iterable[Text | EncodedChange]) -> None:
        """Send the backlog, which goes up to `revision`, then the changes after it, also those that came meanwhile."""
        waiting, self._before_live = self._before_live or [], None
        self.through = revision
        if self.close_code is None:
            self._backlog.extend(items)
            self._ready.set()
        self.offer(waiting)

    def push(self, text: str) -> None:
        """Send a text at once, or put it into the queue; a client with too much in it is closed."""
        if self.close_code is not None:
            return
        if self.idle and self.wire.write(text):
            self.last_sent = time.monotonic()
            return
        if self._bytes > MAX_PENDING_BYTES:
            self.close(CloseCode.TOO_SLOW)
            return
        self._queue.append(text)
        self._bytes += len(text)
        self._ready.set()

    def beat(self, text: str) -> None:
        """Send a heartbeat, or a WebSocket ping to a client that takes every text for a change."""
        if self.texts:
            self.push(text)
        elif self.wire.ping():
            self.last_sent = time.monotonic()

    def stalls(self, now: float) -> bool:
        """Whether something has been waiting for the client for longer than PATIENCE, and it read none of it."""
        taken = (self._sent, self.wire.taken)
        nothing_waits = self._before_live is not None or (self.idle and not self.wire.waiting)
        if taken > self._taken or nothing_waits:
            self._taken, self._looked_at = taken, now
            return False
        return now - self._looked_at > PATIENCE

    def close(self, code: CloseCode) -> None:
        """Close with `code`; what has not been sent yet is dropped."""
        if self.close_code is None:
            self.close_code = code
            self.closed_at = time.monotonic()
            self._backlog.clear()
            self._queue.clear()
            self._bytes = 0
            self._ready.set()

    async def write_to(self, send: Send) -> None:
        """Write until the socket closes. Runs as a task of its own."""
        while self.close_code is None:
            await self._ready.wait()
            self._ready.clear()
            self._writing = True
            while self._backlog or self._queue:
                if self._backlog:
                    item = self._backlog.popleft()
                    await self._write(self._text_of(item), send)
                    del item  # kept until here, so that clients that come meanwhile share it
                else:
                    text = self._queue.popleft()
                    await self._write(text, send)
                    self._bytes = max(0, self._bytes - len(text))
                self.last_sent = time.monotonic()
            self._writing = False
        await send({"type": "websocket.close", "code": self.close_code.value})

    def _text_of(self, item: Text | EncodedChange) -> Text:
        if not isinstance(item, EncodedChange):
            return item
        return item.draft_text if self.drafts or item.text is None else item.text

    async def _write(self, text: Text, send: Send) -> None:
        await self.wire.writable()
        if self.close_code is not None:
            return
        if self.wire.write(text):
            await self.wire.writable()  # the text is not let go of before it is out
        else:
            await send({"type": "websocket.send", "text": text if isinstance(text, str) else text.text})
            self._sent += 1


class Hub:
    """Indexes the open connections of this process: sockets by what they follow, all connections by credential."""

    def __init__(self, *, revision_of: Callable[[Socket], int]) -> None:
        self._revision_of = revision_of
        self._by_environment: dict[uuid.UUID, set[Socket]] = defaultdict(set)
        self._by_workspace: dict[str, set[Socket]] = defaultdict(set)
        self._all_environments: dict[str, set[Socket]] = defaultdict(set)
        self._by_credential: dict[str, set[Listener]] = defaultdict(set)
        self._answers: dict[None, set[Listener]] = defaultdict(set)
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

    def _indexes(self, listener: Listener) -> list[tuple[Any, Any]]:
        by_credential = (self._by_credential, listener.actor.credential)
        if not isinstance(listener, Socket):
            return [by_credential, (self._answers, None)]
        if listener.environment_id is None:
            followed: tuple[Any, Any] = (self._all_environments, listener.workspace_id)
        else:
            followed = (self._by_environment, listener.environment_id)
        return [followed, (self._by_workspace, listener.workspace_id), by_credential]

    def add(self, listener: Listener) -> None:
        self._open += 1
        for index, key in self._indexes(listener):
            index[key].add(listener)

    def remove(self, listener: Listener) -> None:
        """Remove a connection that was added."""
        self._open -= 1
        for index, key in self._indexes(listener):
            index[key].discard(listener)
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
        for listener in list(self._by_credential.get(credential, ())):
            if actor is None:
                listener.close(CloseCode.CREDENTIAL_REVOKED)
            elif not listener.may_stay(visible):
                listener.close(CloseCode.NOT_ALLOWED_THERE)
            elif actor.role is not listener.actor.role:
                listener.close(CloseCode.RESYNC_NEEDED)  # the credential holds: come back with the new role

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


def _has_expired(listener: Listener, clock: datetime) -> bool:
    return listener.actor.expires_at is not None and listener.actor.expires_at <= clock
