"""Who a run is of, kept with it: it can do what that one could when it started, and no more than they can now."""

import uuid
from typing import Any

from django.conf import settings
from django.utils import timezone

from governance.access.actors import SYSTEM, Actor
from governance.access.permissions import require
from governance.access.roles import Role
from governance.access.visibility import visible_to
from governance.core.errors import ForbiddenError
from governance.identity.authentication import STATIC_ACTOR
from governance.identity.models import Token, TokenKind, User
from governance.tenancy.models import Workspace


def snapshot(actor: Actor) -> dict[str, Any]:
    """What is kept of somebody."""
    return {
        "name": actor.name,
        "role": actor.role.value,
        "kind": actor.kind,
        "user_id": str(actor.user_id) if actor.user_id else None,
        "token_id": str(actor.token_id) if actor.kind == "api" else None,
        "workspace_id": actor.workspace_id,
        "environment": actor.environment,
    }


def remembered(bounds: dict[str, Any]) -> Actor:
    """The actor as it was then. Whether it still exists, and may still do this, is checked by `restore`."""
    user_id, token_id = bounds["user_id"], bounds["token_id"]
    return Actor(
        name=bounds["name"],
        role=Role(bounds["role"]),
        kind=bounds["kind"],
        user_id=uuid.UUID(user_id) if user_id else None,
        token_id=uuid.UUID(token_id) if token_id else None,
        workspace_id=bounds["workspace_id"],
        environment=bounds["environment"],
    )


def restore(bounds: dict[str, Any], *, workspace_id: str) -> Actor:
    """Who it was, with the lesser of the roles then and now.

    Raises ForbiddenError when they are gone, or don't see the workspace any more. A session that ended is no matter:
    its user stays.
    """
    actor = _restore(bounds)
    if actor is None:
        raise ForbiddenError(f"{bounds['name']}, who started this, is not there any more")
    require(actor, "workflow.run")
    if not visible_to(actor, Workspace.objects.filter(pk=workspace_id)).exists():
        raise ForbiddenError(f"{bounds['name']}, who started this, does not see the workspace any more")
    return actor


def _restore(bounds: dict[str, Any]) -> Actor | None:
    then = Role(bounds["role"])
    if bounds["kind"] == "system":
        return SYSTEM
    if bounds["kind"] == "static":
        return STATIC_ACTOR if settings.PROMPTOPS_TOKEN else None
    if bounds["kind"] == "api":
        token = Token.objects.filter(pk=uuid.UUID(bounds["token_id"]), kind=TokenKind.API).first()
        if token is None or (token.expires_at is not None and token.expires_at <= timezone.now()):
            return None
        return Actor(
            name=bounds["name"],
            role=_lesser(then, Role(token.role)),
            kind="api",
            token_id=token.pk,
            token_name=token.name,
            workspace_id=token.workspace_id,
            environment=token.environment or None,
        )
    user = User.objects.filter(pk=uuid.UUID(bounds["user_id"]), is_active=True).first()
    if user is None:
        return None
    return Actor(name=user.username, role=_lesser(then, Role(user.role)), kind="session", user_id=user.pk)


def _lesser(one: Role, other: Role) -> Role:
    return other if one.covers(other) else one
