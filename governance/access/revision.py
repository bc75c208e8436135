"""The access revision: it rises with each change of credentials, roles or memberships, for processes to look again."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from governance.access.models import AccessRevision
from governance.core import registry


@dataclass(frozen=True, slots=True)
class AccessListener(registry.Entry):
    """Called when access changed: after the commit, in the process that made the change, on its thread.

    The tail of every other process finds the change by its next look.
    """

    call: Callable[[], None]


def bump() -> None:
    """Raise the revision, as part of the running transaction."""
    if not AccessRevision.objects.filter(pk=1).update(revision=F("revision") + 1):
        AccessRevision.objects.get_or_create(pk=1, defaults={"revision": 1})
    transaction.on_commit(_call_listeners)


def current() -> int:
    """The revision as it is now."""
    return AccessRevision.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def _call_listeners() -> None:
    for listener in registry.entries(AccessListener):
        listener.call()
