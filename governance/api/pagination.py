"""`limit` and `offset`, the same for every list: above the cap is clamped, nonsense is refused."""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.core.errors import InvalidInputError

T = TypeVar("T")
FAR_BEYOND = 2**31


class LimitOffset(BasePagination):
    default_limit = 200
    max_limit = 1000
    total = 0

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        limit = min(number(request, "limit", self.default_limit), self.max_limit)
        offset = min(number(request, "offset", 0), FAR_BEYOND)
        rows = list(queryset[offset : offset + limit])
        if rows and len(rows) < limit:
            self.total = offset + len(rows)  # the last page: nothing is left to count
        else:
            self.total = queryset.count() if isinstance(queryset, QuerySet) else len(queryset)
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "total": self.total})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "total"],
            "properties": {"data": schema, "total": {"type": "integer", "minimum": 0}},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        number = {"type": "integer", "minimum": 0}
        return [
            {
                "name": "limit",
                "in": "query",
                "schema": {**number, "default": self.default_limit},
                "description": f"How many at most; above {self.max_limit} is taken as {self.max_limit}.",
            },
            {"name": "offset", "in": "query", "schema": {**number, "default": 0}, "description": "How many to skip."},
        ]


def number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise InvalidInputError.of(name, "expected a whole number of 0 or more")
    return int(text) if len(text) <= 18 else FAR_BEYOND
