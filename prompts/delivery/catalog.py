"""What this process serves, in memory and ready to send: fed by the change log, never older than it says.

An environment is loaded when it is first asked for, and from then on follows the tail. It holds no logic of its own:
documents come from documents.py, picks from rollouts.py. All of it lives on the event loop, but for `require`.
"""

import asyncio
import json
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from governance.realtime.encoding import EncodedChange
from governance.realtime.tail import Position
from governance.tenancy.models import Environment
from prompts import documents
from prompts.rollouts import Variant, pick

logger = logging.getLogger("promptops.catalog")

#: Seconds after the tail's last look at the database for which what is here counts as fresh.
FRESH_FOR = 1.0

#: Seconds that a fetch waits for the tail's next look at the database, or for a revision that it asks for.
PATIENCE = 1.0

CACHE_CONTROL = b"cache-control: private, no-cache\r\n"


@dataclass(slots=True)
class Answer:
    """A body, its entity tag, and the header lines that go with them, as they are sent."""

    body: bytes
    etag: bytes
    headers: bytes

    @classmethod
    def of(cls, text: str, etag: str | None = None) -> "Answer":
        body, tag = text.encode(), (etag or documents.etag_of(text)).encode()
        about = b"content-length: %d\r\ncontent-type: application/json; charset=utf-8\r\n" % len(body)
        return cls(body, tag, b"etag: %s\r\n%s%s" % (tag, about, CACHE_CONTROL))


@dataclass(slots=True)
class Pick:
    """A rollout, ready to be decided."""

    seed: str
    weight_a: float
    answers: dict[Variant, Answer]


@dataclass(slots=True)
class Entry:
    """One prompt: its text as lists and frames carry it, and what a single fetch is answered."""

    text: str
    answer: Answer
    pick: Pick | None

    @classmethod
    def of(cls, text: str) -> "Entry":
        if '"rollout":' not in text:
            return cls(text, Answer.of(text), None)
        document: dict[str, Any] = json.loads(text)
        rollout: dict[str, Any] | None = document.pop("rollout", None)
        if rollout is None:
            return cls(text, Answer.of(text), None)
        answers: dict[Variant, Answer] = {
            variant: Answer.of(documents.encode({**rollout["variants"][variant], "variant": variant}))
            for variant in ("A", "B")
        }
        return cls(text, Answer.of(documents.encode(document)), Pick(rollout["seed"], rollout["weight_a"], answers))

    def answer_for(self, unit: str | None) -> Answer:
        if self.pick is None:
            return self.answer
        return self.pick.answers[pick(seed=self.pick.seed, weight_a=self.pick.weight_a, unit=unit)]


@dataclass(slots=True)
class Shelf:
    """One environment. `revision` is how far it follows the change log, `served_revision` the last that changed it."""

    workspace_id: str
    name: str
    epoch: str
    revision: int
    served_revision: int
    entries: dict[str, Entry]
    _listing: Answer | None = None

    def apply(self, encoded: EncodedChange) -> None:
        change = encoded.change
        self.revision = change.revision
        if not change.served:
            return
        self.served_revision = change.revision
        self._listing = None
        if change.document is None:
            self.entries.pop(change.key, None)
        else:
            self.entries[change.key] = Entry.of(change.document)

    def listing(self) -> Answer:
        """The environment's document; made once for each change to what is served."""
        if self._listing is None:
            text = documents.listing(
                [self.entries[key].text for key in sorted(self.entries)],
                revision=self.served_revision,
                epoch=self.epoch,
                env=self.name,
                workspace=self.workspace_id,
            )
            self._listing = Answer.of(text, documents.listing_etag(self.epoch, self.served_revision))
        return self._listing


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read of an environment. The documents are of `ahead` at the latest, which may be beyond the shelf's."""

    environment_id: uuid.UUID
    shelf: Shelf
    ahead: int


@dataclass(slots=True)
class Catalog:
    """The shelves of this process. A listener of the tail."""

    _shelves: dict[uuid.UUID, Shelf] = field(default_factory=dict)
    _by_place: dict[tuple[str, str], uuid.UUID] = field(default_factory=dict)
    _required: dict[uuid.UUID, int] = field(default_factory=dict)
    _waiting: dict[uuid.UUID, list[EncodedChange]] = field(default_factory=lambda: defaultdict(list))
    _followed: set[str] = field(default_factory=set)
    _loading: set[tuple[str, str]] = field(default_factory=set)
    _looked_at: float = 0.0
    _report: asyncio.Event = field(default_factory=asyncio.Event)
    #: Whether the database can't be reached; then fetches are answered by what is in memory.
    away: bool = False

    @property
    def age(self) -> float:
        """Seconds since the tail last reached the database."""
        return time.monotonic() - self._looked_at

    @property
    def fresh(self) -> bool:
        return self.age <= FRESH_FOR

    def find(self, workspace_id: str, env: str) -> Shelf | None:
        """The shelf of that place, if it is as fresh as the database; None when somebody else must answer."""
        environment_id = self._by_place.get((workspace_id, env))
        if environment_id is None or time.monotonic() - self._looked_at > FRESH_FOR:
            return None
        shelf = self._shelves[environment_id]
        return shelf if shelf.revision >= self._required.get(environment_id, 0) else None

    def known(self, workspace_id: str, env: str) -> Shelf | None:
        """The shelf of that place, however old."""
        environment_id = self._by_place.get((workspace_id, env))
        return self._shelves[environment_id] if environment_id is not None else None

    async def hear(self) -> None:
        """Wait until the tail has looked at the database, or has failed to.

        When neither happens within PATIENCE the database counts as away: it hangs, and requests that ask it would too.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while not (self.fresh or self.away):
                    await self._report.wait()
        except TimeoutError:
            self.unreachable()

    async def reach(self, workspace_id: str, env: str, revision: int) -> None:
        """Wait until the place is known at that revision; not for long, and not while the database is away."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not self.away and ((shelf := self.find(workspace_id, env)) is None or shelf.revision < revision):
                    await self._report.wait()
        except TimeoutError:
            pass

    def require(self, environment_id: uuid.UUID, revision: int) -> None:
        """A write was committed here: until its revision has been read, the shelf is too old. On any thread."""
        self._required[environment_id] = max(revision, self._required.get(environment_id, 0))

    async def load(
        self,
        workspace_id: str,
        env: str,
        *,
        follow: Callable[[str], Awaitable[None]],
        work: Callable[..., Awaitable[Any]],
    ) -> None:
        """Bring a place in. It is followed first and read then, so that no change falls between."""
        place = (workspace_id, env)
        if place in self._loading or place in self._by_place:
            return
        self._loading.add(place)
        try:
            self._followed.add(workspace_id)
            await follow(workspace_id)
            loaded: Loaded | None = await work(read, workspace_id, env)
            if loaded is not None:
                self._take(loaded)
        finally:
            self._loading.discard(place)

    def _take(self, loaded: Loaded) -> None:
        shelf, key = loaded.shelf, loaded.environment_id
        for change in self._waiting.pop(key, []):
            if change.revision > shelf.revision:
                shelf.apply(change)
        self.require(key, loaded.ahead)
        self._shelves[key] = shelf
        self._by_place[(shelf.workspace_id, shelf.name)] = key

    # --- what the tail reports ---

    def workspaces(self) -> Collection[str]:
        return self._followed

    def looked(self, at: float) -> None:
        """The tail looked at the database, beginning at that time, and has delivered all that it found."""
        self._looked_at = at
        if self.away:
            logger.warning("the database is back: fetches are answered by it again")
        self.away = False
        self._tell()

    def unreachable(self) -> None:
        """The tail could not look at the database."""
        if not self.away:
            logger.warning("the database can't be reached: fetches are answered by what is known, and marked as stale")
        self.away = True
        self._tell()

    def _tell(self) -> None:
        self._report.set()
        self._report = asyncio.Event()

    def deliver(self, position: Position, changes: list[EncodedChange]) -> None:
        key = changes[0].environment_id
        shelf = self._shelves.get(key)
        if shelf is None:
            if (position.workspace_id, position.name) in self._loading:
                self._waiting[key].extend(changes)
            return
        for change in changes:
            if change.revision > shelf.revision:
                shelf.apply(change)

    def lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        """The line of changes broke: read anew when it is asked for again."""
        shelf = self._shelves.pop(environment_id, None)
        if shelf is not None:
            del self._by_place[(shelf.workspace_id, shelf.name)]
        self._required.pop(environment_id, None)
        self._waiting.pop(environment_id, None)


def read(workspace_id: str, env: str) -> Loaded | None:
    """Read a place from the database.

    The revision is read before the documents and after: they may be ahead of the first, so that the shelf counts as too
    old until it has followed up to the second. It never goes back in time.
    """
    environment = Environment.objects.filter(workspace_id=workspace_id, name=env).first()
    if environment is None:
        return None
    texts = {document["key"]: documents.encode(document) for document in documents.documents_of(environment)}
    ahead = Environment.objects.filter(pk=environment.pk).values_list("revision", flat=True).first()
    shelf = Shelf(
        workspace_id=workspace_id,
        name=env,
        epoch=environment.epoch,
        revision=environment.revision,
        served_revision=environment.served_revision,
        entries={key: Entry.of(text) for key, text in texts.items()},
    )
    return Loaded(environment.pk, shelf, ahead or environment.revision)


#: This process's own.
catalog = Catalog()
