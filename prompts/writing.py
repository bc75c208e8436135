"""What each service that writes a prompt does: lock its row, publish the change, and record the audit entry."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from governance import audit
from governance.access.actors import Actor
from governance.changes import changelog, publishing
from governance.changes.changelog import Document
from governance.realtime.frames import ChangeType
from prompts import documents, searching
from prompts.models import Prompt

CREATED, UPDATED, DELETED = ChangeType.PROMPT_CREATED, ChangeType.PROMPT_UPDATED, ChangeType.PROMPT_DELETED
PUBLISHED, ROLLED_BACK = ChangeType.PROMPT_PUBLISHED, ChangeType.PROMPT_ROLLED_BACK
ROLLOUT_UPDATED, ROLLOUT_DELETED = ChangeType.ROLLOUT_UPDATED, ChangeType.ROLLOUT_DELETED


def lock(prompt: Prompt, if_match: str | None = None) -> Prompt:
    """The prompt as it is now, its row locked until the transaction ends.

    Raises NotFoundError when it is gone, PreconditionError when `if_match` is not its entity tag.
    """
    return publishing.lock_draft(_with_relations(), prompt, if_match)


def with_relations(prompt: Prompt) -> Prompt:
    return _with_relations().get(pk=prompt.pk)


def _with_relations() -> QuerySet[Prompt]:
    return Prompt.objects.select_related(*documents.SERVED_WITH)


def served(prompt: Prompt) -> Document | None:
    return documents.as_document(documents.served(prompt))


def announce(prompt: Prompt, type_: str) -> None:
    """Append a change of what is served to the log."""
    # Locked before it is read: the environment decides whether drafts are served, and may have changed.
    prompt.environment = changelog.lock_environment(prompt.environment.pk)
    append_change(prompt, type_, document=served(prompt), served=True)


def announce_draft(prompt: Prompt, *, before: Document | None) -> None:
    """Append a saved draft to the log. If the document served is the one from `before`, only clients that asked for
    drafts are sent the change."""
    # Locked before it is read: the environment decides whether drafts are served, and may have changed.
    prompt.environment = changelog.lock_environment(prompt.environment.pk)
    after = served(prompt)
    append_change(prompt, UPDATED, document=after, served=after != before)


def append_change(prompt: Prompt, type_: str, *, document: Document | None, served: bool) -> None:
    changelog.publish(
        environment_id=prompt.environment.pk,
        type=type_,
        resource_id=prompt.pk,
        key=prompt.key,
        version=prompt.live.label if prompt.live and type_ != UPDATED else prompt.version,
        document=document,
        served=served,
    )


def update_search(prompt: Prompt, differences: Mapping[str, Any]) -> None:
    """Update what a search finds the prompt by, if one of the changed fields is searched."""
    if not differences.keys().isdisjoint(searching.FIELDS):
        searching.update(prompt)


def record(
    actor: Actor, prompt: Prompt, action: str, summary: str, differences: audit.Changes, *, resource: str = "prompt"
) -> None:
    audit.record(
        actor=actor,
        action=action,
        resource=resource,
        resource_id=prompt.pk,
        key=prompt.key,
        summary=f"{summary} in {prompt.environment.name}",
        workspace_id=prompt.environment.workspace_id,
        changes=differences,
    )
