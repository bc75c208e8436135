"""The sockets of this process, and who of them gets what. All of it runs on the event loop and waits for nobody."""

import asyncio
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone

from governance.actors import Actor
from governance.realtime import protocol
from governance.realtime.protocol import Frame
from governance.realtime.tail import Position

Send = Callable[[dict[str, Any]], Awaitable[None]]

#: What may wait for one client. Frames are shared by all sockets, so what waits is in memory once; a burst of large
#: documents in one transaction has to fit, since it arrives here at once.
MAX_PENDING_BYTES = 32 * 1024 * 1024
SILENCE = 4.0  # seconds; a heartbeat is due by five
GRACE = 30.0  # seconds that a client has to take the close, before the connection is ended under it


class Socket:
    """One client's stream: a bounded queue of texts and the task that writes them, so that no client delays another.

    Who waits for nothing is written to at once, past queue and task.

    The backlog of a client that comes back is not counted: it is as long as it is, and no sign of a slow client.
    """

    def __init__(
        self,
        *,
        actor: Actor,
        workspace_id: str,
        environment_id: uuid.UUID | None,
        drafts: bool,
        since: int | None,
        runs: bool = False,
        write: Callable[[str], bool] = lambda text: False,
        abort: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = uuid.uuid4()
        self.actor = actor
        self.workspace_id = workspace_id
        self.environment_id = environment_id  # None: all of the workspace's
        self.drafts = drafts
        self.runs = runs  # whether it wants to hear of runs; clients of old would not know the frames
        self.last_sent = time.monotonic()
        self.close_code: int | None = None
        self.closed_at = 0.0
        self.write = write  # writes a text past the queue if that can be done at once
        self.abort = abort  # ends the connection of a client that takes nothing, not even the close
        self.through = 0  # the backlog went up to here; the tail may be behind it
        self._held: list[Frame] | None = [] if since is not None else None  # frames that wait for the backlog
        self._backlog: deque[str] = deque()
        self._queue: deque[str] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._writing = False

    @property
    def idle(self) -> bool:
        return self._held is None and not self._backlog and not self._queue and not self._writing

    def offer(self, frames: Iterable[Frame]) -> None:
        if self._held is not None:
            self._held.extend(frames)
            return
        for frame in frames:
            text = frame.draft_text if self.drafts else frame.text
            if text is not None and frame.revision > self.through:
                self.push(text)

    def tell(self, text: str) -> None:
        """What belongs to no revision. Who waits for the backlog is told nothing before it: it may be told again."""
        if self._held is None:
            self.push(text)

    def go_live(self, revision: int, texts: list[str]) -> None:
        """The backlog is there: it comes first, then what is not in it, whether that arrived already or not."""
        held, self._held = self._held or [], None
        self.through = revision
        if self.close_code is None:
            self._backlog.extend(texts)
            self._ready.set()
        self.offer(held)

    def push(self, text: str) -> None:
        if self.close_code is not None:
            return
        if self.idle and self.write(text):
            self.last_sent = time.monotonic()
            return
        if self._bytes > MAX_PENDING_BYTES:
            self.close(protocol.TOO_SLOW)
            return
        self._queue.append(text)
        self._bytes += len(text)
        self._ready.set()

    def close(self, code: int) -> None:
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
            while waiting := self._backlog or self._queue:
                text = waiting.popleft()
                await send({"type": "websocket.send", "text": text})
                if waiting is self._queue:
                    self._bytes = max(0, self._bytes - len(text))
                self.last_sent = time.monotonic()
            self._writing = False
        await send({"type": "websocket.close", "code": self.close_code})


class Hub:
    """Indexes sockets by place and by credential."""

    def __init__(self, *, revision_of: Callable[[Socket], int]) -> None:
        self._revision_of = revision_of
        self._by_environment: dict[uuid.UUID, set[Socket]] = defaultdict(set)
        self._by_workspace: dict[str, set[Socket]] = defaultdict(set)
        self._all_environments: dict[str, set[Socket]] = defaultdict(set)
        self._by_credential: dict[str, set[Socket]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._by_workspace.values()))

    def _indexes(self, socket: Socket) -> list[tuple[Any, Any]]:
        if socket.environment_id is None:
            place: tuple[Any, Any] = (self._all_environments, socket.workspace_id)
        else:
            place = (self._by_environment, socket.environment_id)
        return [place, (self._by_workspace, socket.workspace_id), (self._by_credential, socket.actor.credential)]

    def add(self, socket: Socket) -> None:
        for index, key in self._indexes(socket):
            index[key].add(socket)

    def remove(self, socket: Socket) -> None:
        for index, key in self._indexes(socket):
            sockets = index.get(key)
            if sockets is not None:
                sockets.discard(socket)
                if not sockets:
                    del index[key]

    def sockets(self) -> list[Socket]:
        return [socket for sockets in self._by_workspace.values() for socket in sockets]

    # --- what the tail reports ---

    def workspaces(self) -> Collection[str]:
        return self._by_workspace.keys()

    def deliver(self, position: Position, frames: list[Frame]) -> None:
        for socket in self._by_environment.get(frames[0].environment_id, ()):
            socket.offer(frames)
        for socket in self._all_environments.get(position.workspace_id, ()):
            socket.offer(frames)

    def lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        """The line of changes broke: clients have to start anew, or have nothing to come back to."""
        for socket in self._by_environment.get(environment_id, ()):
            socket.close(protocol.NOT_ALLOWED_THERE if gone else protocol.RESYNC_NEEDED)
        if not gone:
            for socket in self._all_environments.get(position.workspace_id, ()):
                socket.close(protocol.RESYNC_NEEDED)

    def looked(self, at: float) -> None:
        pass

    def unreachable(self) -> None:
        pass

    # --- runs ---

    def watching_runs(self) -> set[str]:
        """The workspaces whose runs somebody here wants to hear of."""
        return {
            workspace_id
            for workspace_id, sockets in self._by_workspace.items()
            if any(socket.runs for socket in sockets)
        }

    def tell_of_run(self, workspace_id: str, environment: str | None, text: str) -> None:
        """A token that is bound to one environment hears of the runs that its like started, and of no others."""
        for socket in self._by_workspace.get(workspace_id, ()):
            if socket.runs and socket.actor.environment in (None, environment):
                socket.tell(text)

    # --- credentials ---

    def holders(self) -> dict[str, Actor]:
        """Each credential with sockets here, and who came with it."""
        return {credential: next(iter(sockets)).actor for credential, sockets in self._by_credential.items()}

    def settle(self, credential: str, now: Actor | None, visible: Collection[str]) -> None:
        """What a second look at a credential found: who holds it now (None: nobody), and what that one sees."""
        for socket in list(self._by_credential.get(credential, ())):
            if now is None:
                socket.close(protocol.CREDENTIAL_REVOKED)
            elif socket.workspace_id not in visible:
                socket.close(protocol.NOT_ALLOWED_THERE)
            elif now.role is not socket.actor.role:
                socket.close(protocol.RESYNC_NEEDED)  # the credential holds: come back with the new role

    # --- time ---

    async def beat(self) -> None:
        """Forever: heartbeats where it was silent, and the end of credentials that expire."""
        while True:
            await asyncio.sleep(0.5)
            self.tick(time.monotonic(), timezone.now())

    def tick(self, now: float, clock: datetime) -> None:
        texts: dict[int, str] = {}
        for socket in self.sockets():
            if socket.close_code is not None:
                if now - socket.closed_at > GRACE:
                    socket.abort()
            elif socket.actor.expires_at is not None and socket.actor.expires_at <= clock:
                socket.close(protocol.CREDENTIAL_REVOKED)
            elif socket.idle and now - socket.last_sent >= SILENCE:
                revision = max(self._revision_of(socket), socket.through)
                beat = protocol.Heartbeat(type="heartbeat", revision=revision)
                socket.push(texts.setdefault(revision, protocol.encode(beat)))
