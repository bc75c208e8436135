"""The state of one environment, and how changes take it from revision to revision. Pure: no I/O, no clock.

One writer, any number of readers without a lock: `entries` is always a whole state, or a change away from one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from promptops_client._models import Change, Prompt
from promptops_client._rollouts import Rollout

Entry = Prompt | Rollout


class GapError(Exception):
    """A change is missing between what is known and what came."""


def entry_of(document: Mapping[str, Any]) -> Entry:
    return Rollout.of(document) if document.get("rollout") else Prompt.of(document)


def prompt_of(entry: Entry) -> Prompt:
    return entry.base if isinstance(entry, Rollout) else entry


class Store:
    """`revision` is the highest that was seen of `epoch`; `etag` the listing's, while nothing came since."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.env: str | None = None
        self.revision = 0
        self.epoch: str | None = None
        self.etag: str | None = None
        self.source: Literal["none", "disk", "server"] = "none"

    @property
    def loaded(self) -> bool:
        return self.source != "none"

    def is_behind(self, revision: int, epoch: str | None) -> bool:
        """Whether that revision is older than this state: from a server process that has not read the latest change."""
        return self.loaded and epoch == self.epoch and revision < self.revision

    def replace(
        self, documents: Iterable[Mapping[str, Any]], *, revision: int, epoch: str | None, etag: str | None
    ) -> list[Change]:
        """Take over a whole state; returns what that changed, which is nothing when it is the first."""
        before, first = self.entries, not self.loaded
        entries = {document["key"]: entry_of(document) for document in documents}
        # The entries first: a process that is forked between these lines follows from an older revision, harmlessly.
        self.entries = entries
        self.epoch, self.revision, self.etag, self.source = epoch, revision, etag, "server"
        return [] if first else list(_differences(before, entries, revision))

    def change(self, frame: Mapping[str, Any], document: Mapping[str, Any] | None) -> Change | None:
        """Take over a change of the stream; None when it is known already. Raises GapError."""
        revision, key = frame["revision"], frame["key"]
        if revision <= self.revision:
            return None
        if frame["prev_revision"] > self.revision:
            raise GapError(f"changes between {self.revision} and {frame['prev_revision']} are missing")
        entry = entry_of(document) if document is not None else None
        if entry is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = entry
        self.revision, self.etag, self.source = revision, None, "server"
        prompt = prompt_of(entry) if entry is not None else None
        return Change(frame["type"], key, frame["env"], frame["version"], revision, prompt)

    def dump(self) -> dict[str, Any]:
        """All of it as JSON has it; `load` reads it again."""
        position = {"env": self.env, "revision": self.revision, "epoch": self.epoch, "etag": self.etag}
        return {**position, "documents": [entry.document() for entry in self.entries.copy().values()]}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "Store":
        """Raises KeyError, TypeError, ValueError for what `dump` did not make."""
        store = cls()
        store.replace(saved["documents"], revision=int(saved["revision"]), epoch=saved["epoch"], etag=saved["etag"])
        store.env, store.source = saved["env"], "disk"
        return store


def _differences(before: Mapping[str, Entry], after: Mapping[str, Entry], revision: int) -> Iterable[Change]:
    for key, entry in after.items():
        old = before.get(key)
        if entry != old:
            prompt = prompt_of(entry)
            kind = "prompt.updated" if old is not None else "prompt.created"
            yield Change(kind, key, prompt.env, prompt.version, revision, prompt)
    for key, entry in before.items():
        if key not in after:
            prompt = prompt_of(entry)
            yield Change("prompt.deleted", key, prompt.env, prompt.version, revision, None)
