"""The environments that this process serves, in memory and ready to send.

An environment is loaded at its first fetch. From then on its snapshot follows the change log, which the process's tail
reads. There are no rules here: documents come from `prompts.documents`, rollouts are decided by `prompts.rollouts`.
Everything runs on the event loop, but for `require`.
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
from prompts.delivery.answers import Answer, Place
from prompts.delivery.pinned import PinnedVersions
from prompts.rollouts import Variant, pick

logger = logging.getLogger("promptops.catalog")

#: Seconds after the tail's last look at the database for which the snapshots count as fresh.
FRESH_FOR = 1.0

#: Seconds that a fetch waits for the tail's next look at the database, or for a revision that it asks for.
WAIT_SECONDS = 1.0


@dataclass(slots=True)
class Choice:
    """A rollout: what decides it, and the prepared answer of each variant."""

    seed: str
    weight_a: float
    answers: dict[Variant, Answer]


@dataclass(slots=True)
class Entry:
    """One prompt: its document as text, for the environment's list, and the answer of a single fetch.

    Under a rollout `choice` has the answers instead.
    """

    text: str
    answer: Answer
    choice: Choice | None

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
        return cls(text, Answer.of(documents.encode(document)), Choice(rollout["seed"], rollout["weight_a"], answers))

    def answer_for(self, unit: str | None) -> Answer:
        if self.choice is None:
            return self.answer
        return self.choice.answers[pick(seed=self.choice.seed, weight_a=self.choice.weight_a, unit=unit)]


@dataclass(slots=True)
class EnvironmentSnapshot:
    """The prompts of one environment as they are served at `revision` of its change log.

    `served_revision` is the last revision that changed what is served.
    """

    workspace_id: str
    name: str
    epoch: str
    revision: int
    served_revision: int
    entries: dict[str, Entry]
    _listing: Answer | None = None

    @property
    def place(self) -> Place:
        return self.workspace_id, self.name

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
    """An environment as it was read. Its documents may be newer than the snapshot's revision, but not than `ahead`."""

    environment_id: uuid.UUID
    snapshot: EnvironmentSnapshot
    ahead: int


@dataclass(slots=True)
class Catalog:
    """The environment snapshots of this process; a listener of the tail (`governance.realtime.tail.Listener`)."""

    pinned: PinnedVersions = field(default_factory=PinnedVersions)
    _snapshots: dict[uuid.UUID, EnvironmentSnapshot] = field(default_factory=dict)
    _by_place: dict[Place, uuid.UUID] = field(default_factory=dict)
    _required: dict[uuid.UUID, int] = field(default_factory=dict)
    _waiting: dict[uuid.UUID, list[EncodedChange]] = field(default_factory=lambda: defaultdict(list))
    _followed: set[str] = field(default_factory=set)
    _loading: set[Place] = field(default_factory=set)
    #: Environments that were lost while some were loaded: what was read of them may be from before that.
    _lost: set[uuid.UUID] = field(default_factory=set)
    _looked_at: float = 0.0
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    #: Whether the database can't be reached; then fetches are answered by what is in memory.
    away: bool = False

    @property
    def age(self) -> float:
        """Seconds since the tail last reached the database."""
        return time.monotonic() - self._looked_at

    @property
    def fresh(self) -> bool:
        return self.age <= FRESH_FOR

    def find(self, place: Place) -> EnvironmentSnapshot | None:
        """The environment's snapshot if it is as fresh as the database; None when the database has to be asked."""
        environment_id = self._by_place.get(place)
        if environment_id is None or time.monotonic() - self._looked_at > FRESH_FOR:
            return None
        snapshot = self._snapshots[environment_id]
        return snapshot if snapshot.revision >= self._required.get(environment_id, 0) else None

    def find_any(self, place: Place) -> EnvironmentSnapshot | None:
        """The environment's snapshot, however old it is."""
        environment_id = self._by_place.get(place)
        return self._snapshots[environment_id] if environment_id is not None else None

    async def wait_for_look(self) -> None:
        """Wait until the tail has looked at the database, or has failed to.

        When neither happens within WAIT_SECONDS, the database counts as away: a request that asked it would hang too.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not (self.fresh or self.away):
                    await self._looked.wait()
        except TimeoutError:
            self.unreachable()

    async def wait_for_revision(self, place: Place, revision: int) -> None:
        """Wait until the snapshot is at that revision: at most WAIT_SECONDS, and not while the database is away."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not self.away:
                    snapshot = self.find(place)
                    if snapshot is not None and snapshot.revision >= revision:
                        return
                    await self._looked.wait()
        except TimeoutError:
            pass

    def require(self, environment_id: uuid.UUID, revision: int) -> None:
        """A write was committed in this process: the snapshot is too old until it is at `revision`. On any thread."""
        self._required[environment_id] = max(revision, self._required.get(environment_id, 0))

    async def load(
        self,
        place: Place,
        *,
        follow: Callable[[str], Awaitable[None]],
        work: Callable[..., Awaitable[Any]],
    ) -> None:
        """Load an environment. It is followed first and read then, so that no change is missed in between."""
        if place in self._loading or place in self._by_place:
            return
        self._loading.add(place)
        try:
            workspace_id, _ = place
            self._followed.add(workspace_id)
            await follow(workspace_id)
            loaded: Loaded | None = await work(read, place)
            if loaded is not None and loaded.environment_id in self._lost:
                self._waiting.pop(loaded.environment_id, None)  # it is loaded anew when it is asked for again
            elif loaded is not None:
                self._take(loaded)
        finally:
            self._loading.discard(place)
            if not self._loading:
                self._lost.clear()

    def _take(self, loaded: Loaded) -> None:
        snapshot, key = loaded.snapshot, loaded.environment_id
        for change in self._waiting.pop(key, []):
            if change.revision > snapshot.revision:
                snapshot.apply(change)
        self.require(key, loaded.ahead)
        self._snapshots[key] = snapshot
        self._by_place[snapshot.place] = key
        self.pinned.follow(snapshot.place)

    # --- what the tail calls ---

    def workspaces(self) -> Collection[str]:
        return self._followed

    def looked(self, at: float) -> None:
        """The tail looked at the database, beginning at that monotonic time, and has delivered all that it found."""
        self._looked_at = at
        if self.away:
            logger.warning("the database is back: fetches are answered by it again")
        self.away = False
        self._notify()

    def unreachable(self) -> None:
        """The tail could not look at the database."""
        if not self.away:
            logger.warning("the database can't be reached: fetches are answered by what is known, and marked as stale")
        self.away = True
        self._notify()

    def _notify(self) -> None:
        self._looked.set()
        self._looked = asyncio.Event()

    def deliver(self, position: Position, changes: list[EncodedChange]) -> None:
        key = changes[0].environment_id
        snapshot = self._snapshots.get(key)
        if snapshot is None:
            if (position.workspace_id, position.name) in self._loading:
                self._waiting[key].extend(changes)
            return
        for change in changes:
            if change.revision > snapshot.revision:
                snapshot.apply(change)
            if change.deletes:
                self.pinned.forget(snapshot.place, change.change.key)

    def lost(self, environment_id: uuid.UUID, position: Position, *, gone: bool) -> None:
        """Changes are missing, or the environment is gone: its snapshot is loaded anew when it is asked for again."""
        if self._loading:
            self._lost.add(environment_id)
        snapshot = self._snapshots.pop(environment_id, None)
        if snapshot is not None:
            del self._by_place[snapshot.place]
            self.pinned.leave(snapshot.place)
        self._required.pop(environment_id, None)
        self._waiting.pop(environment_id, None)


def read(place: Place) -> Loaded | None:
    """Read an environment from the database; None when there is none of that name.

    The revision is read before the documents and after them. They may be newer than the first, so the snapshot counts
    as too old until it has followed the change log up to the second.
    """
    workspace_id, env = place
    environment = Environment.objects.filter(workspace_id=workspace_id, name=env).first()
    if environment is None:
        return None
    texts = {document["key"]: documents.encode(document) for document in documents.documents_of(environment)}
    ahead = Environment.objects.filter(pk=environment.pk).values_list("revision", flat=True).first()
    snapshot = EnvironmentSnapshot(
        workspace_id=workspace_id,
        name=env,
        epoch=environment.epoch,
        revision=environment.revision,
        served_revision=environment.served_revision,
        entries={key: Entry.of(text) for key, text in texts.items()},
    )
    return Loaded(environment.pk, snapshot, ahead or environment.revision)


#: This process's own.
catalog = Catalog()
