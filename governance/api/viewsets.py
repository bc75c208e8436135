"""The shape of every endpoint: who acts, which rows they see, what their action needs."""

from typing import Any, ClassVar, Generic, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api import written
from governance.api.concurrency import if_match, none_match
from governance.core.errors import NotFoundError
from governance.core.models import Versioned

M = TypeVar("M", bound=Model)

REVISION_HEADER = "X-PromptOps-Revision"
#: OPTIONS is not among them: it is answered like any other method that is not there.
METHODS = ["get", "head", "post", "put", "patch", "delete"]


def actor_of(request: Request) -> Actor:
    """The authenticated caller."""
    actor = request.user
    assert isinstance(actor, Actor)  # noqa: S101  # HasCapability let nobody else in
    return actor


def one(data: Any, *, code: int = status.HTTP_200_OK, etag: str | None = None) -> Response:
    """One object in its envelope."""
    return Response({"data": data}, status=code, headers={"ETag": etag} if etag else None)


def ok() -> Response:
    return Response({"ok": True})


class ApiView(APIView):
    """An endpoint that is no list of rows. `capabilities` says by method what it needs."""

    capabilities: ClassVar[dict[str, str]] = {}
    http_method_names = METHODS

    def capability(self) -> str | None:
        return self.capabilities.get((self.request.method or "").lower())


class RowsViewSet(GenericViewSet[M], Generic[M]):
    """Rows of one kind. `resource` names it in the table of permissions; `capabilities` adds actions that differ."""

    resource: ClassVar[str]
    capabilities: ClassVar[dict[str, str]] = {}
    http_method_names = METHODS
    lookup_value_converter = "uuid"

    def capability(self) -> str | None:
        verbs = {"list": "read", "retrieve": "read", "create": "write", "update": "write", "partial_update": "write"}
        action = getattr(self, "action", None)
        if action in (None, "metadata"):
            return None  # no such method, or OPTIONS: 405 follows
        return f"{self.resource}.{self.capabilities.get(action) or verbs.get(action, 'write')}"

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        written.begin()
        return super().initialize_request(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer of a write says by which revision applications are served it."""
        response = super().finalize_response(request, response, *args, **kwargs)
        revision = written.revision()
        if revision is not None and status.is_success(response.status_code):
            response[REVISION_HEADER] = str(revision)
        return response

    def get_queryset(self) -> QuerySet[M]:
        return visible_to(self.actor, super().get_queryset())

    def get_object(self) -> M:
        """The row that the path names, if the caller may know of it."""
        try:
            return self.get_queryset().get(pk=self.kwargs["pk"])  # in no order, which `first` would ask for
        except ObjectDoesNotExist:
            raise NotFoundError from None

    def valid(self, serializer_class: type[Any] | None = None, *, partial: bool = False) -> dict[str, Any]:
        """The request's body, checked; raises ValidationError."""
        serializer = (serializer_class or self.get_serializer_class())(
            data=self.request.data, partial=partial, context=self.get_serializer_context()
        )
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def represent(self, row: M, *, code: int = status.HTTP_200_OK) -> Response:
        etag = row.etag if isinstance(row, Versioned) else None
        return one(self.get_serializer(row).data, code=code, etag=etag)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ReadViewSet(RowsViewSet[M], Generic[M]):
    """Rows that can be listed and fetched one by one."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        if isinstance(row, Versioned) and none_match(request, row.etag):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": row.etag})
        return self.represent(row)


class ResourceViewSet(ReadViewSet[M], Generic[M]):
    """Rows that can be created, changed and deleted: a subclass names the services that do it.

    PUT and PATCH are one: they change what is sent and leave the rest as it is.
    """

    def perform_create(self, values: dict[str, Any]) -> M:
        raise NotImplementedError

    def perform_update(self, row: M, values: dict[str, Any], if_match: str | None) -> M:
        raise NotImplementedError

    def perform_destroy(self, row: M, if_match: str | None) -> None:
        raise NotImplementedError

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.represent(self.perform_create(self.valid()), code=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return self.represent(self.perform_update(row, self.valid(partial=True), if_match(request)))

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.perform_destroy(self.get_object(), if_match(request))
        return ok()
