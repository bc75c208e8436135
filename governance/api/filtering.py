"""List filters: django-filter, with the contract's 400 for a value that can't be read."""

import re
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters


class FilterBackend(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter is untyped
    """The one filter backend; views name a `filterset_class`."""


class ApiFilterSet(filters.FilterSet):  # type: ignore[misc]
    """The base of every filter set."""


class StableOrdering(filters.OrderingFilter):  # type: ignore[misc]
    """Rows that are equal by what was asked for come newest first, so that no page repeats another's rows."""

    def filter(self, queryset: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        ordered: QuerySet[Any] = super().filter(queryset, value)
        return ordered.order_by(*ordered.query.order_by, "-created_at", "-id") if value else ordered


class WindowFilterSet(ApiFilterSet):
    """`since` (included) and `until` (excluded) on `created_at`, as RFC 3339 times."""

    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte", label="RFC 3339; this or later")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt", label="RFC 3339; before this")
    workspace = filters.CharFilter(field_name="workspace_id")


def containing(value: str, *fields: str) -> Q:
    """Rows that have `value` in one of these fields, case aside."""
    lookup, wanted = "icontains", value
    if connection.vendor == "sqlite" and not value.isascii():
        lookup, wanted = "iregex", re.escape(value)  # SQLite's LIKE knows the case of ASCII only, Python's re of all
    return reduce(or_, (Q(**{f"{field}__{lookup}": wanted}) for field in fields))
