"""List filters: django-filter, with the contract's 400 for a value that can't be read."""

import re
import uuid
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any

from django import forms
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django_filters import rest_framework as filters
from django_filters.fields import BaseCSVField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from governance.api.fields import EARLIEST, LATEST, NO_TIME, is_time

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class FilterBackend(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter is untyped
    """The one filter backend; views name a `filterset_class`."""


class ApiFilterSet(filters.FilterSet):  # type: ignore[misc]
    """The base of every filter set."""


class _Words(BaseCSVField):  # type: ignore[misc]
    def clean(self, value: list[str] | None) -> Any:
        if value == []:
            raise forms.ValidationError("expected at least one field to order by")
        return super().clean(value)


class StableOrdering(filters.OrderingFilter):  # type: ignore[misc]
    """Rows that are equal by what was asked for come newest first, so that no page repeats another's rows."""

    base_field_class = _Words

    def filter(self, queryset: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        ordered: QuerySet[Any] = super().filter(queryset, value)
        return ordered.order_by(*ordered.query.order_by, "-created_at", "-id") if value else ordered


class _TimeField(forms.Field):
    def clean(self, value: str | None) -> datetime | None:
        if value is None:
            return None
        try:
            moment = parse_datetime(value.upper()) if is_time(value) else None
            if moment is not None and EARLIEST <= moment.astimezone(UTC) < LATEST:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # no such day, or one before the first or after the last year of all
        raise forms.ValidationError(NO_TIME)


@extend_schema_field(OpenApiTypes.DATETIME)
class TimeFilter(filters.Filter):  # type: ignore[misc]
    field_class = _TimeField


class _IdField(forms.Field):
    def clean(self, value: str | None) -> uuid.UUID | None:
        if value is None:
            return None
        if not _ID.fullmatch(value):
            raise forms.ValidationError("expected a UUID")
        return uuid.UUID(value)


@extend_schema_field(OpenApiTypes.UUID)
class IdFilter(filters.Filter):  # type: ignore[misc]
    field_class = _IdField


class WindowFilterSet(ApiFilterSet):
    """`since` (included) and `until` (excluded) on `created_at`, as RFC 3339 times."""

    since = TimeFilter(field_name="created_at", lookup_expr="gte", label="RFC 3339; this or later")
    until = TimeFilter(field_name="created_at", lookup_expr="lt", label="RFC 3339; before this")
    workspace = filters.CharFilter(field_name="workspace_id")


def containing(value: str, *fields: str) -> Q:
    """Rows that have `value` in one of these fields, case aside."""
    lookup, wanted = "icontains", value
    if connection.vendor == "sqlite" and not value.isascii():
        lookup, wanted = "iregex", re.escape(value)  # SQLite's LIKE knows the case of ASCII only, Python's re of all
    return reduce(or_, (Q(**{f"{field}__{lookup}": wanted}) for field in fields))
