"""Users and API tokens."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.viewsets import ResourceViewSet, one
from governance.identity import tokens, users
from governance.identity.models import Token, TokenKind, User
from governance.identity.serializers import NewTokenSerializer, TokenSerializer, UserSerializer
from governance.tenancy import workspaces
from governance.tenancy.filters import InWorkspaceFilter


class UserViewSet(ResourceViewSet[User]):
    resource = "user"
    queryset = User.objects.prefetch_related("memberships")
    serializer_class = UserSerializer

    def get_queryset(self) -> Any:
        return self.queryset.all()  # users belong to no workspace; the capability says who may know of them

    def perform_create(self, values: dict[str, Any]) -> User:
        return users.create_user(actor=self.actor, **values)

    def perform_update(self, row: User, values: dict[str, Any], if_match: str | None) -> User:
        return users.update_user(actor=self.actor, user=row, **values)

    def perform_destroy(self, row: User, if_match: str | None) -> None:
        users.delete_user(actor=self.actor, user=row)


class TokenViewSet(ResourceViewSet[Token]):
    resource = "token"
    queryset = Token.objects.filter(kind=TokenKind.API)
    serializer_class = TokenSerializer
    filterset_class = InWorkspaceFilter
    http_method_names = ["get", "head", "post", "delete"]

    @extend_schema(request=TokenSerializer, responses={201: NewTokenSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make an API token. The answer holds its secret, which is shown this once."""
        values = self.valid()
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        env = values.pop("environment", None)
        token, secret = tokens.create_token(actor=self.actor, workspace=workspace, env=env, **values)
        return one({**TokenSerializer(token).data, "token": secret}, code=201)

    def perform_destroy(self, row: Token, if_match: str | None) -> None:
        tokens.revoke_token(actor=self.actor, token=row)
