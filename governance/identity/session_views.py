"""Login, logout, me."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.serializers import ErrorSerializer, OkSerializer
from governance.api.viewsets import ApiView, actor_of, ok
from governance.core.errors import UnauthorizedError
from governance.identity import tokens
from governance.identity.addresses import address_of
from governance.identity.authentication import authenticate as authenticate_token
from governance.identity.models import User
from governance.identity.serializers import (
    LoginAnswerSerializer,
    MeSerializer,
    PasswordLoginSerializer,
    TokenLoginSerializer,
)
from governance.tenancy.models import Workspace

LOGIN: Any = PolymorphicProxySerializer(
    component_name="Login",
    serializers=[PasswordLoginSerializer, TokenLoginSerializer],
    resource_type_field_name=None,
)


class LoginView(ApiView):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        request=LOGIN,
        responses={200: LoginAnswerSerializer, 401: ErrorSerializer, 429: ErrorSerializer},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Log in with username and password for a session token, or check a static or API token."""
        by_token = isinstance(request.data, Mapping) and "token" in request.data
        body = (TokenLoginSerializer if by_token else PasswordLoginSerializer)(data=request.data)
        body.is_valid(raise_exception=True)
        if by_token:
            secret = body.validated_data["token"]
            actor = authenticate_token(secret, address=address_of(request._request))
            tokens.note_login(actor=actor)
            return _answer(actor, secret)
        user = _user_of(request, body.validated_data)
        token, secret = tokens.open_session(user=user)
        return Response(
            {"ok": True, "token": secret, "role": user.role, "username": user.username, "expires_at": token.expires_at}
        )


class LogoutView(ApiView):
    capabilities = {"post": "session.delete"}

    @extend_schema(request=None, responses={200: OkSerializer})
    def post(self, request: Request) -> Response:
        """Revoke this session's token; the static token and API tokens are left alone."""
        tokens.close_session(actor=actor_of(request))
        return ok()


class MeView(ApiView):
    capabilities = {"get": "session.read"}

    @extend_schema(responses={200: MeSerializer})
    def get(self, request: Request) -> Response:
        """Who the caller is, and which workspaces they see."""
        actor = actor_of(request)
        workspaces = visible_to(actor, Workspace.objects.order_by("created_at", "pk"))
        return Response(
            {
                "username": actor.name,
                "role": actor.role,
                "workspaces": list(workspaces.values_list("pk", flat=True)),
                "token": {
                    "kind": actor.kind,
                    "name": actor.token_name,
                    "env": actor.environment,
                    "expires_at": actor.expires_at,
                },
            }
        )


def _user_of(request: Request, credentials: dict[str, Any]) -> User:
    """The user whose credentials these are; known and unknown names take the same way, and about the same time."""
    user = authenticate(request._request, **credentials)
    if isinstance(user, User):
        return user
    raise UnauthorizedError("invalid credentials")


def _answer(actor: Actor, secret: str) -> Response:
    return Response(
        {"ok": True, "token": secret, "role": actor.role, "username": actor.name, "expires_at": actor.expires_at}
    )
