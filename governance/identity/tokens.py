"""Tokens: sessions of users and API tokens of applications. A secret is returned once, and stored as its digest."""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from governance import audit
from governance.access import revision
from governance.access.actors import Actor
from governance.access.roles import Role
from governance.core.errors import InvalidInputError
from governance.identity import names
from governance.identity.credentials.bearer import digest_of
from governance.identity.models import Token, TokenKind, User
from governance.tenancy import environments
from governance.tenancy.models import Workspace

API_PREFIX, SESSION_PREFIX = "po_", "ps_"


def _secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


@transaction.atomic
def create_token(
    *,
    actor: Actor,
    workspace: Workspace,
    name: str,
    role: str,
    env: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """An API token for one workspace (and one environment of it, if `env` is given), and its secret.

    Raises InvalidInputError for a reserved name, an unknown environment, or an expiry that is past.
    """
    names.refuse_reserved(name, field="name")
    if env:
        environments.resolve(workspace, env, actor=actor)
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInputError.of("expires_at", "expected a time to come")
    secret = _secret(API_PREFIX)
    token = Token.objects.create(
        kind=TokenKind.API,
        name=name,
        digest=digest_of(secret),
        hint=secret[:8],
        workspace=workspace,
        role=role,
        environment=env or "",
        created_by=actor.name,
        expires_at=expires_at,
    )
    audit.record(
        actor=actor,
        action="create",
        resource="token",
        resource_id=token.pk,
        key=name,
        summary=f"Created API token {name} as {role}",
        workspace_id=workspace.pk,
        changes=audit.created(name=name, role=str(role), env=env, expires_at=expires_at),
    )
    return token, secret


@transaction.atomic
def revoke_token(*, actor: Actor, token: Token) -> None:
    """Delete a token: it is refused from the next request on, and its sockets are closed."""
    audit.record(
        actor=actor,
        action="delete",
        resource="token",
        resource_id=token.pk,
        key=token.name,
        summary=f"Revoked token {token.name}",
        workspace_id=token.workspace_id,
        changes=audit.deleted(name=token.name, role=token.role, env=token.environment),
    )
    token.delete()
    revision.bump()


@transaction.atomic
def open_session(*, user: User, name: str = "login") -> tuple[Token, str]:
    """A session for an authenticated user, and its secret. The user's expired sessions are deleted."""
    now = timezone.now()
    Token.objects.filter(user=user, expires_at__lte=now).delete()
    secret = _secret(SESSION_PREFIX)
    token = Token.objects.create(
        kind=TokenKind.SESSION,
        name=name,
        digest=digest_of(secret),
        hint=secret[:8],
        user=user,
        created_by=user.username,
        expires_at=now + timedelta(hours=settings.PROMPTOPS_SESSION_HOURS),
    )
    audit.record(
        actor=Actor(name=user.username, role=Role(user.role), kind="session", user_id=user.pk),
        action="login",
        resource="session",
        resource_id=token.pk,
        key=user.username,
        summary=f"{user.username} logged in",
        workspace_id=None,
    )
    return token, secret


def note_login(*, actor: Actor) -> None:
    """Write an audit entry for a login by a token."""
    audit.record(
        actor=actor,
        action="login",
        resource="token" if actor.kind != "session" else "session",
        resource_id=actor.token_id or actor.kind,
        key=actor.token_name,
        summary=f"{actor.name} logged in by token",
        workspace_id=actor.workspace_id,
    )


@transaction.atomic
def close_session(*, actor: Actor) -> None:
    """Revoke the session that the actor authenticated with. For an actor with another credential it does nothing."""
    if actor.kind != "session" or actor.token_id is None:
        return
    Token.objects.filter(pk=actor.token_id, kind=TokenKind.SESSION).delete()
    revision.bump()
    audit.record(
        actor=actor,
        action="logout",
        resource="session",
        resource_id=actor.token_id,
        key=actor.name,
        summary=f"{actor.name} logged out",
        workspace_id=None,
    )
