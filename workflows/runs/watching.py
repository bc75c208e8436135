"""Runs as server-sent events. One reader a process looks at all that are watched, however many watch them.

It looks when a hint says that one of them changed, and once a second without. At rest that is two small queries, and
what changed is read and encoded once for all who watch that run.
"""

import asyncio
import logging
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from django.http import StreamingHttpResponse
from django.utils import timezone

from governance.access.actors import Actor
from governance.realtime import events
from governance.realtime.runtime import refuse_when_full, running, with_database
from workflows.engine.wakeups import OVERLAP, TICK, Notifier
from workflows.models import StepAttempt, WorkflowRun
from workflows.runs.serializers import AttemptSerializer, WorkflowRunRowSerializer

logger = logging.getLogger("promptops.workflows")

#: Bytes that may wait for one client, and that are read of a run at once. A client that is further behind gets the rest
#: when it has read these.
MAX_PENDING_BYTES = 1024 * 1024
AT_ONCE = 500  # runs that one query asks for

Seen = dict[int, datetime]


def respond(run: WorkflowRun, *, actor: Actor) -> StreamingHttpResponse:
    """The run from now on, as a stream of events that ends with it. Raises TooManyStreamsError."""
    refuse_when_full(actor)
    return events.respond(_events(run.pk), actor=actor, workspaces={run.workspace_id})


async def _events(run_id: uuid.UUID) -> AsyncGenerator[bytes, None]:
    reader = _reader()
    watcher = reader.join(run_id)
    try:
        while True:
            while watcher.pending:
                event = watcher.pending.popleft()
                watcher.size -= len(event)
                yield event
            if watcher.over:
                return
            if watcher.behind:
                reader.look_at(watcher)
            watcher.woken.clear()
            await watcher.woken.wait()
    finally:
        reader.leave(watcher)


@dataclass(eq=False, slots=True)
class Watcher:
    """A client that watches a run: the attempts that it was sent, as they were, and the events that wait for it."""

    run_id: uuid.UUID
    seen: Seen = field(default_factory=dict)
    told: datetime | None = None
    pending: deque[bytes] = field(default_factory=deque)
    size: int = 0
    behind: bool = False
    over: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, event: bytes) -> None:
        self.pending.append(event)
        self.size += len(event)


@dataclass(slots=True)
class News:
    """A run as it is: when it changed (None: it is no more), its row, and the attempts that some client needs.

    `more` when these are not all: then the row is not told yet.
    """

    changed_at: datetime | None
    over: bool
    row: bytes
    attempts: dict[int, tuple[datetime, bytes]]
    more: bool = False


class Reader:
    """The watchers of one event loop, and the one task that reads for them while there are any."""

    def __init__(self) -> None:
        self._watchers: dict[uuid.UUID, set[Watcher]] = defaultdict(set)
        self._known: dict[uuid.UUID, datetime] = {}
        self._due: set[uuid.UUID] = set()  # to be looked at, changed or not
        self._task: asyncio.Task[None] | None = None
        self._notifier: Notifier | None = None

    def join(self, run_id: uuid.UUID) -> Watcher:
        watcher = Watcher(run_id)
        self._watchers[run_id].add(watcher)
        self.look_at(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return watcher

    def leave(self, watcher: Watcher) -> None:
        watchers = self._watchers[watcher.run_id]
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[watcher.run_id]
            self._known.pop(watcher.run_id, None)
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    def look_at(self, watcher: Watcher) -> None:
        """Have everything sent to it that it was not sent yet."""
        watcher.behind = False
        self._due.add(watcher.run_id)
        if self._notifier is not None:
            self._notifier.wake()

    async def _run(self) -> None:
        since = timezone.now()
        with Notifier(self._watchers.__contains__) as notifier:
            self._notifier = notifier
            try:
                while True:
                    began, due = timezone.now(), self._due
                    self._due = set()
                    try:
                        await self._look(due, since - OVERLAP)
                        since = began
                    except Exception as error:
                        self._due |= due
                        logger.warning("could not look at the runs that are watched, trying again: %s", error)
                    await notifier.wait(TICK)
            finally:
                if self._notifier is notifier:  # and not that of a task which came after this one
                    self._notifier = None

    async def _look(self, due: set[uuid.UUID], since: datetime) -> None:
        watched: dict[uuid.UUID, list[Seen]] = defaultdict(list)
        ready = []
        for watcher in (watcher for here in self._watchers.values() for watcher in here):
            watcher.behind = watcher.behind or watcher.size > MAX_PENDING_BYTES
            if not watcher.behind:
                watched[watcher.run_id].append(watcher.seen)
                ready.append(watcher)
        found = await _work(_news, watched, dict(self._known), due, since)
        for run_id, news in found.items():
            if news.changed_at is not None and run_id in self._watchers:
                self._known[run_id] = news.changed_at
        for watcher in ready:
            if watcher.run_id in found:
                _tell(watcher, found[watcher.run_id])


def _tell(watcher: Watcher, news: News) -> None:
    new = [pk for pk, (at, _) in news.attempts.items() if watcher.seen.get(pk) != at]
    for pk in new:
        watcher.seen[pk], event = news.attempts[pk]
        watcher.push(event)
    watcher.behind = news.more
    if not news.more and news.changed_at is not None and (new or news.over or watcher.told != news.changed_at):
        watcher.told = news.changed_at
        watcher.push(news.row)
    watcher.over = news.over and not news.more
    watcher.woken.set()


def _news(
    watched: Mapping[uuid.UUID, Collection[Seen]],
    known: Mapping[uuid.UUID, datetime],
    due: Collection[uuid.UUID],
    since: datetime,
) -> dict[uuid.UUID, News]:
    """What changed of the watched runs, and those that are due."""
    ids, changed = list(watched), {run_id for run_id in due if run_id in watched}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        heads = dict(WorkflowRun.objects.filter(pk__in=some).values_list("pk", "changed_at"))
        changed |= {run_id for run_id in some if heads.get(run_id) != known.get(run_id)}
        attempts = StepAttempt.objects.filter(run_id__in=some, changed_at__gt=since)
        for run_id, pk, at in attempts.values_list("run_id", "pk", "changed_at"):
            if any(seen.get(pk) != at for seen in watched[run_id]):
                changed.add(run_id)
    return {run_id: _news_of(run_id, watched[run_id]) for run_id in changed}


def _news_of(run_id: uuid.UUID, watchers: Collection[Seen]) -> News:
    run = WorkflowRun.objects.filter(pk=run_id).first()
    if run is None:
        return News(None, True, b"", {})
    # After the run: of one that is over, all attempts are there.
    changed = StepAttempt.objects.filter(run_id=run_id).values_list("pk", "changed_at")
    new = [pk for pk, at in changed if any(seen.get(pk) != at for seen in watchers)]
    new.sort()
    attempts: dict[int, tuple[datetime, bytes]] = {}
    size = 0
    some: Any = StepAttempt.objects.filter(pk__in=new[:AT_ONCE]).order_by("id")
    for attempt in some.iterator(chunk_size=20):
        event = events.encode("step", AttemptSerializer(attempt).data)
        attempts[attempt.pk] = (attempt.changed_at, event)
        size += len(event)
        if size > MAX_PENDING_BYTES:
            break
    over = not run.is_active
    row = {**WorkflowRunRowSerializer(run).data, **({"output": run.output} if over else {})}
    event = events.encode("end" if over else "run", row)
    return News(run.changed_at, over, event, attempts, more=len(attempts) < len(new))


_readers: WeakKeyDictionary[asyncio.AbstractEventLoop, Reader] = WeakKeyDictionary()


def _reader() -> Reader:
    """The one of this event loop: of the process, but for tests."""
    return _readers.setdefault(asyncio.get_running_loop(), Reader())


async def _work(function: Callable[..., Any], *args: Any) -> Any:
    here = running()
    work: Awaitable[Any] = here.work(function, *args) if here else asyncio.to_thread(with_database, function, args)
    return await work
