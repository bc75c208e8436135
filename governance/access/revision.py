"""Says that somebody lost or changed what they may do, so that every process looks again."""

from collections.abc import Callable

from django.db import transaction
from django.db.models import F

from governance.access.models import AccessRevision

#: Called after the commit, in the process that made the change (the tail of each other process sees it by its tick).
listeners: list[Callable[[], None]] = []


def bump() -> None:
    """Note in the running transaction that credentials, roles or memberships changed."""
    if not AccessRevision.objects.filter(pk=1).update(revision=F("revision") + 1):
        AccessRevision.objects.get_or_create(pk=1, defaults={"revision": 1})
    transaction.on_commit(_tell)


def current() -> int:
    """The revision that this moment's answers about access belong to."""
    return AccessRevision.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def _tell() -> None:
    for listener in listeners:
        listener()
