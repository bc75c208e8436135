"""Checks the credentials of open connections again, all of them in a few queries."""

import uuid
from collections.abc import Mapping
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.identity.authentication import still_valid
from governance.identity.models import User
from governance.tenancy.models import Workspace

#: The actor of a credential as it is now (None if it is no longer valid), and the workspaces that it sees.
CurrentAccess = tuple[Actor | None, set[str]]


def current_access(actors: Mapping[str, Actor]) -> dict[str, CurrentAccess]:
    """The access of each credential as it is now; `actors` has their actors as they were when they connected."""
    token_ids: set[uuid.UUID] = {actor.token_id for actor in actors.values() if actor.token_id}
    valid = still_valid(token_ids)
    found: dict[str, CurrentAccess] = {}
    for credential, actor in actors.items():
        if actor.token_id is not None:
            now = valid.get(actor.token_id)
        elif actor.session_key is not None:
            now = _of_session(actor.session_key)
        else:
            now = actor
        visible = set(visible_to(now, Workspace.objects.all()).values_list("pk", flat=True)) if now else set()
        found[credential] = (now, visible)
    return found


def _of_session(key: str) -> Actor | None:
    """The actor of a session of the back office, None if it ended: by a logout, or by a new password."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return Actor.of_user(user, session_key=key) if isinstance(user, User) and user.is_active else None
