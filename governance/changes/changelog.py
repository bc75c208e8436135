"""The change log, which every catalog and every socket follows. It is written in the change's own transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction

from governance.api import written
from governance.changes.models import Change
from governance.core import registry
from governance.tenancy.models import Environment

PRUNE_EVERY = 256

#: Digits that a revision may have where a client names one.
REVISION_DIGITS = 18


@dataclass(frozen=True, slots=True)
class CommitListener(registry.Entry):
    """Called after a commit with an environment's id and its new revision: in that process, on that thread."""

    call: Callable[[uuid.UUID, int], None]


@dataclass(frozen=True, slots=True)
class Document:
    """What applications are served of one resource: the exact text, and its entity tag."""

    text: str
    etag: str


def lock_environment(environment_id: uuid.UUID) -> Environment:
    """The environment's row, locked until the transaction ends, so that changes in it are written one after another."""
    # no_key: rows that refer to the environment may be inserted meanwhile; without it two inserts would deadlock.
    return Environment.objects.select_for_update(no_key=True).get(pk=environment_id)


def publish(
    *,
    environment_id: uuid.UUID,
    type: str,  # noqa: A002  # the name that the frame gives it
    resource_id: uuid.UUID,
    key: str,
    version: str,
    document: Document | None,
    served: bool,
) -> int:
    """Append a change to the environment and return its revision; to be called inside the change's transaction.

    `document` is what is served from now on (None: nothing); `served` is whether that differs from before.
    """
    environment = lock_environment(environment_id)
    prev_served = environment.served_revision
    environment.revision += 1
    if served:
        environment.served_revision = environment.revision
    environment.save(update_fields=["revision", "served_revision"])
    Change.objects.create(
        environment=environment,
        revision=environment.revision,
        prev_served=prev_served,
        type=type,
        resource_id=resource_id,
        key=key,
        version=version,
        served=served,
        document=document.text if document else None,
        etag=document.etag if document else None,
    )
    if environment.revision % PRUNE_EVERY == 0:
        oldest_kept = environment.revision - settings.PROMPTOPS_CHANGES_KEPT
        Change.objects.filter(environment=environment, revision__lte=oldest_kept).delete()
    written.note(environment.revision)
    transaction.on_commit(partial(_committed, environment.pk, environment.revision))
    return environment.revision


def _committed(environment_id: uuid.UUID, revision: int) -> None:
    for listener in registry.entries(CommitListener):
        listener.call(environment_id, revision)
