"""Publishing, rolling back and keeping versions: one implementation for all that has a draft and versions of it.

A draft is edited. A version is a draft as it was at some time: it never changes, and its label is unique among the
versions of that draft. At most one version is live.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

from django.db import transaction
from django.db.models import QuerySet

from governance import audit
from governance.access.actors import Actor
from governance.api.concurrency import check_if_match
from governance.changes.drafts import Draft, Version
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError
from governance.core.models import changed

Action = Literal["publish", "snapshot", "rollback"]

#: Words that stand for something else than a label in requests. Versions from before this rule may have one as their
#: label: they are served, pinned and rolled back to as before. No new version gets one.
RESERVED_LABELS = ("draft", "live", "latest")


D = TypeVar("D", bound=Draft)
V = TypeVar("V", bound=Version)


def refuse_reserved(label: str) -> None:
    """Raises InvalidInputError for a word that is no label."""
    if label in RESERVED_LABELS:
        raise InvalidInputError.of("version", f"{', '.join(RESERVED_LABELS)} are words of the API, and no labels")


def state_named(draft: Draft, name: str, *, noun: str) -> Draft | Version:
    """The row that a request names: the draft itself ("draft"), the live version ("live"), or the version so labelled.

    Raises InvalidInputError when there is no such version; `noun` is what its message calls the draft's owner.
    """
    if name == "draft":
        return draft
    found: Version | None = draft.live if name == "live" else draft.versions.filter(label=name).first()
    if found is None:
        lacks = f"this {noun} has no live version" if name == "live" else f"this {noun} has no version {name!r}"
        raise InvalidInputError.of("version", f"{lacks}; expected draft, live or the label of a version")
    return found


def lock_draft(rows: QuerySet[D], draft: D, if_match: str | None) -> D:
    """The draft as it is now, out of `rows`, its row locked until the transaction ends.

    Raises NotFoundError when it is gone, PreconditionError when `if_match` is not its entity tag.

    Two queries on purpose: after waiting for a lock, PostgreSQL reads the locked row anew, but joined rows as they were
    before the wait.
    """
    row = rows.model._default_manager.select_for_update(no_key=True).filter(pk=draft.pk)
    if not row.values_list("pk").first():
        raise NotFoundError
    locked = rows.get(pk=draft.pk)
    check_if_match(if_match, locked.etag)
    return locked


class Versioning(ABC, Generic[D, V]):
    """What can be done with one kind of draft and its versions. Each method is one transaction with its audit entry.

    A subclass defines how its rows are locked, which columns follow from others, and how a change is announced.
    """

    #: The columns that a draft and its versions have in common: a version keeps them, a rollback brings them back.
    columns: ClassVar[Sequence[str]]

    @transaction.atomic
    def publish(
        self, *, actor: Actor, draft: D, version: str | None = None, note: str = "", if_match: str | None = None
    ) -> V:
        """Keep the draft as a version, and make that live; returns it. `version` is the label to give it.

        Publishing what is live already returns that version. Raises ConflictError when `version` is the label of
        different content, InvalidInputError when it is a reserved word, PreconditionError when `if_match` is stale.
        """
        draft = self.lock(draft, if_match)
        live: V | None = draft.live
        if live is not None and live.digest == draft.draft_digest and version in (None, live.label):
            self.unchanged(draft)
            return live
        target = self._version_labelled(draft, version) or self._snapshot(actor, draft, version, note)
        draft.live, draft.version = target, target.label
        draft.save_fields("live", "version", "version_count", *self.derive(draft, actor))
        differences = _moved(live, target)
        if note:
            differences["note"] = {"old": None, "new": note}
        self.announce(actor, draft, "publish", target, differences)
        return target

    @transaction.atomic
    def create_version(
        self, *, actor: Actor, draft: D, version: str | None = None, note: str = "", if_match: str | None = None
    ) -> tuple[V, bool]:
        """Keep the draft as a version, and leave live what is live; returns the version, and whether it is a new one.

        Raises as `publish` does.
        """
        draft = self.lock(draft, if_match)
        found = self._version_labelled(draft, version)
        if found is not None:
            return found, False
        made = self._snapshot(actor, draft, version, note)
        draft.save_fields("version_count")
        facts = audit.created(version=made.label, number=made.number, **({"note": note} if note else {}))
        self.announce(actor, draft, "snapshot", made, facts)
        return made, True

    @transaction.atomic
    def rollback(self, *, actor: Actor, draft: D, version: str, if_match: str | None = None) -> D:
        """Make an earlier version live again, and the draft equal to it. No version is removed.

        Raises NotFoundError when the draft has no version with that label, PreconditionError when `if_match` is stale.
        """
        draft = self.lock(draft, if_match)
        target: V | None = draft.versions.filter(label=version).first()
        if target is None:
            raise NotFoundError("version not found")
        self.check_rollback(target)
        live: V | None = draft.live
        differences = changed(draft, {name: getattr(target, name) for name in self.columns})
        if live is not None and live.id == target.id and not differences:
            self.unchanged(draft)
            return draft
        draft.live, draft.version = target, target.label
        draft.save_fields("live", "version", *self.columns, *self.derive(draft, actor))
        self.announce(actor, draft, "rollback", target, {**differences, **_moved(live, target)})
        return draft

    # --- what a subclass defines ---

    @abstractmethod
    def lock(self, draft: D, if_match: str | None) -> D:
        """The draft by `lock_draft`, with the rows that its changes need."""

    @abstractmethod
    def derive(self, draft: D, actor: Actor) -> Sequence[str]:
        """Set the columns that follow from the draft and from what is live; returns their names, to be saved."""

    @abstractmethod
    def announce(self, actor: Actor, draft: D, action: Action, version: V, differences: audit.Changes) -> None:
        """Record the action in the audit log, and publish it to clients. `version` is the version of the action."""

    def check_rollback(self, version: V) -> None:
        """Refuse, by a DomainError, to make live what could not work any more."""

    def unchanged(self, draft: D) -> None:
        """Nothing had to be done: the draft is in the state that was asked for."""

    # --- labels ---

    def _version_labelled(self, draft: D, label: str | None) -> V | None:
        """The version with that label, if there is one. Raises ConflictError when its content is another."""
        if not label:
            return None
        refuse_reserved(label)
        found: V | None = draft.versions.filter(label=label).first()
        if found is not None and found.digest != draft.draft_digest:
            raise ConflictError(
                f"version {label} exists already, with different content",
                fields={"version": ["taken by different content"]},
            )
        return found

    def _snapshot(self, actor: Actor, draft: D, label: str | None, note: str) -> V:
        draft.version_count += 1
        made: V = draft.versions.create(
            number=draft.version_count,
            label=label or _free_label(draft),
            digest=draft.draft_digest,
            note=note,
            created_by=actor.name,
            **{name: getattr(draft, name) for name in self.columns},
        )
        return made


def _free_label(draft: Draft) -> str:
    """The draft's own label if it is one and no version bears it, else the next free vN."""
    if draft.version not in RESERVED_LABELS and not draft.versions.filter(label=draft.version).exists():
        return draft.version
    number = draft.version_count
    while draft.versions.filter(label=f"v{number}").exists():
        number += 1
    return f"v{number}"


def _moved(old: Version | None, new: Version) -> dict[str, dict[str, Any]]:
    return {"live_version": {"old": old.label if old else None, "new": new.label}}
