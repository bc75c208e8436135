"""What prompts and workflows have in common: a draft, and versions with labels that were published of it."""

from typing import Any, Protocol

from governance.core.errors import ConflictError, InvalidInputError

#: Words that stand for something else than a label in requests. Versions from before this rule may have one as their
#: label: they are served, pinned and rolled back to as before. No new version gets one.
RESERVED_LABELS = ("draft", "live", "latest")


class Draft(Protocol):
    """A row with a draft: what it is labelled, what makes it the same as a version, and the versions there are."""

    version: str
    version_count: int
    draft_digest: str

    @property
    def versions(self) -> Any: ...


def refuse_reserved(label: str) -> None:
    """Raises InvalidInputError for a word that is no label."""
    if label in RESERVED_LABELS:
        raise InvalidInputError.of("version", f"{', '.join(RESERVED_LABELS)} are words of the API, and no labels")


def version_named(draft: Draft, label: str) -> Any | None:
    """The version with that label, None when there is none.

    Raises ConflictError when its content is another, InvalidInputError for a word that is no label.
    """
    refuse_reserved(label)
    found = draft.versions.filter(label=label).first()
    if found is not None and found.digest != draft.draft_digest:
        raise ConflictError(
            f"version {label} exists already, with different content",
            fields={"version": ["taken by different content"]},
        )
    return found


def free_label(draft: Draft) -> str:
    """The draft's own label if it is one and no version bears it, else the next free vN."""
    if draft.version not in RESERVED_LABELS and not draft.versions.filter(label=draft.version).exists():
        return draft.version
    number = draft.version_count + 1
    while draft.versions.filter(label=f"v{number}").exists():
        number += 1
    return f"v{number}"


def status_of(live_digest: str | None, draft_digest: str) -> str:
    """draft: never published; published: the draft is what is live; modified: it differs."""
    if live_digest is None:
        return "draft"
    return "published" if live_digest == draft_digest else "modified"
