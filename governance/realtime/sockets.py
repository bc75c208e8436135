"""Open connections, each with its bounded queue: the hub puts into it what they get."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Protocol

from governance.access.actors import Actor
from governance.realtime.encoding import EncodedChange
from governance.realtime.frames import CloseCode
from governance.realtime.wire import NO_WIRE, Text, Wire

Send = Callable[[dict[str, Any]], Awaitable[None]]

#: What may wait for one client. Frames are shared by all sockets, so what waits is in memory once; a burst of large
#: documents in one transaction has to fit, since it arrives here at once.
MAX_PENDING_BYTES = 32 * 1024 * 1024
PATIENCE = 20.0  # seconds for which a client may read nothing of what waits for it
GRACE = 10.0  # seconds that a client has to answer the close, before the connection is cut


class OpenConnection(Protocol):
    """An open connection, which ends with its credential: a socket, or an answer that is a stream of events."""

    actor: Actor
    close_code: CloseCode | None

    def may_stay(self, visible: Collection[str]) -> bool:
        """Whether an actor who sees these workspaces may have it open."""

    def close(self, code: CloseCode) -> None:
        """Close it; only the first call counts."""


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
