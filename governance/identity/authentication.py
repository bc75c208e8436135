"""From a bearer secret to an Actor, the same for HTTP and for the WebSocket."""

import hmac
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from governance.access.actors import Actor
from governance.access.roles import Role
from governance.core.errors import UnauthorizedError
from governance.identity import lockout
from governance.identity.addresses import address_of
from governance.identity.credentials.bearer import bearer_of, digest_of
from governance.identity.credentials.token_cache import tokens
from governance.identity.models import Token, TokenKind, User

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


MAX_SECRET_LENGTH = 512

#: A token by its digest, with its user. Each request asks for it: Django would take longer to build this than the
#: database takes to answer it.
_BY_DIGEST = """
    SELECT token.*, "user".username, "user".role AS user_role, "user".is_active
    FROM governance_token AS token LEFT JOIN governance_user AS "user" ON "user".id = token.user_id
    WHERE token.digest = %s
"""

STATIC_ACTOR = Actor(name="static token", role=Role.ADMIN, kind="static", token_name="PROMPTOPS_TOKEN")  # noqa: S106


def is_static_token(secret: str) -> bool:
    expected: str | None = settings.PROMPTOPS_TOKEN
    return bool(expected) and hmac.compare_digest(digest_of(secret), digest_of(expected or ""))


def authenticate(secret: str, *, address: str) -> Actor:
    """Who holds `secret`, which came from `address`; at most one query.

    Raises UnauthorizedError when nobody does: unknown, revoked, expired, or its user was shut out. After too many wrong
    tokens from one address it raises TooManyAttemptsError for further wrong ones; right ones are accepted from there.
    """
    if not secret or len(secret) > MAX_SECRET_LENGTH:
        raise UnauthorizedError("invalid token")
    if is_static_token(secret):
        return STATIC_ACTOR
    token = _token_of(secret)
    if token is None:
        lockout.wrong_token(address)
        raise UnauthorizedError("invalid token")
    return actor_of_token(token)


def _token_of(secret: str) -> Token | None:
    """The token with this secret, if it lets somebody in; one query."""
    token = next(iter(Token.objects.raw(_BY_DIGEST, [digest_of(secret)])), None)
    if token is None or (token.expires_at is not None and token.expires_at <= timezone.now()):
        return None
    found: Any = token  # with the user's columns beside its own
    if token.user_id is not None:
        token.user = User(pk=token.user_id, username=found.username, role=found.user_role, is_active=found.is_active)
        return token if token.user.is_active else None
    return token


def still_valid(token_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Actor]:
    """Of these tokens those that still let somebody in, each with who that is now; one query."""
    tokens = Token.objects.select_related("user").filter(_valid(), pk__in=list(token_ids))
    return {token.pk: actor_of_token(token) for token in tokens}


def actor_of_token(token: Token) -> Actor:
    if token.kind == TokenKind.SESSION and token.user is not None:
        return Actor(
            name=token.user.username,
            role=Role(token.user.role),
            kind="session",
            user_id=token.user.pk,
            token_id=token.pk,
            token_name=token.name,
            expires_at=token.expires_at,
        )
    return Actor(
        name=f"token {token.name}",
        role=Role(token.role),
        kind="api",
        token_id=token.pk,
        token_name=token.name,
        workspace_id=token.workspace_id,
        environment=token.environment or None,
        expires_at=token.expires_at,
    )


def _valid() -> Q:
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return unexpired & (Q(user__isnull=True) | Q(user__is_active=True))


class BearerAuthentication(BaseAuthentication):
    """DRF's door: `request.user` is the Actor."""

    def authenticate(self, request: Request) -> tuple[Actor, str] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        secret = bearer_of(header)
        if secret is None:
            return None
        generation = tokens.generation
        actor = authenticate(secret, address=address_of(request._request))
        tokens.remember(secret, actor, generation)
        return actor, secret

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _document_for_openapi() -> None:
    from drf_spectacular.extensions import OpenApiAuthenticationExtension  # registers itself by being a subclass

    class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
        target_class = BearerAuthentication
        name = "bearer"

        def get_security_definition(self, auto_schema: "AutoSchema") -> dict[str, str]:
            return {"type": "http", "scheme": "bearer"}


_document_for_openapi()
