"""Who comes into the admin and who leaves it is in the audit log, as it is for the API."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver

from governance import audit
from governance.access.actors import Actor
from governance.identity.models import User


@receiver(user_logged_in)
def note_login(sender: Any, user: User, **kwargs: Any) -> None:
    _note(user, "login", "logged in to the admin")


@receiver(user_logged_out)
def note_logout(sender: Any, user: User | None, **kwargs: Any) -> None:
    if user is not None:  # None for a session that had ended already
        _note(user, "logout", "logged out of the admin")


def _note(user: User, action: str, what: str) -> None:
    audit.record(
        actor=Actor.of_user(user),
        action=action,
        resource="session",
        resource_id=user.pk,
        key=user.username,
        summary=f"{user.username} {what}",
        workspace_id=None,
    )
