"""List filters: django-filter, with the contract's 400 for a value that can't be read."""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any

from django import forms
from django.db import connection
from django.db.models import Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Lower, StrIndex
from django.db.models.lookups import GreaterThan
from django.forms.utils import ErrorDict, ErrorList
from django.utils.datastructures import MultiValueDict
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property
from django_filters import rest_framework as filters
from django_filters.constants import EMPTY_VALUES
from django_filters.fields import BaseCSVField
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.request import Request

from governance.api.fields import EARLIEST, LATEST, NO_TIME, YEARS, is_time
from governance.core.text import MAX_SEARCH

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class FilterBackend(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter is untyped
    """The one filter backend; views name a `filterset_class`."""


class ApiFilterSet(filters.FilterSet):  # type: ignore[misc]
    """The base of every filter set. It looks at those filters alone that the request names.

    django-filter copies all filters of a list and makes a form class of them, for each request. Here a value is
    checked by its filter's field, which is made once; there is no form.

    `cleaned_data` has the values that could be read, and `errors` the others' problems, both by the filter's name.
    """

    def __init__(
        self, data: Mapping[str, Any], queryset: QuerySet[Any], *, request: Request | None = None, prefix: None = None
    ) -> None:
        self.data, self.queryset, self.request = data, queryset, request
        self.cleaned_data: dict[str, Any] = {}
        self._errors = ErrorDict()
        for name, chosen in self.base_filters.items():
            if name not in data:
                continue
            field: forms.Field = chosen.field
            try:
                self.cleaned_data[name] = field.clean(field.widget.value_from_datadict(data, MultiValueDict(), name))
            except forms.ValidationError as error:
                self._errors[name] = ErrorList(error.error_list)

    @property
    def errors(self) -> ErrorDict:
        return self._errors

    def is_valid(self) -> bool:
        return not self.errors

    @cached_property
    def qs(self) -> QuerySet[Any]:
        """The rows that all the filters leave."""
        rows = self.queryset
        for name, value in self.cleaned_data.items():
            chosen = self.base_filters[name]
            if chosen.method is None:
                rows = chosen.filter(rows, value)
            elif value not in EMPTY_VALUES:
                rows = getattr(self, chosen.method)(rows, chosen.field_name, value)
        return rows


class _Words(BaseCSVField):  # type: ignore[misc]
    def clean(self, value: list[str] | None) -> Any:
        if value == []:
            raise forms.ValidationError("expected at least one field to order by")
        return super().clean(value)


class SearchFilter(filters.CharFilter):  # type: ignore[misc]
    """A text to search for, bounded: what a search costs grows with what is searched for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_SEARCH, **kwargs)


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


@extend_schema_field({"type": "string", "format": "date-time", "pattern": YEARS})
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
    """Rows that have `value` in one of these fields, the case of each letter and its Unicode form aside.

    Not by LIKE, which compares its whole pattern anew at each place: with long texts of one character that adds up.
    """
    function: Callable[[Any], Func] = _searched
    if connection.vendor == "sqlite":
        # SQLite's LOWER knows ASCII alone; a value beyond it is looked for by a function of promptops.db.sqlite3.
        function = Lower if value.isascii() else _folded
    wanted = function(Value(value))
    return reduce(or_, (Q(GreaterThan(StrIndex(function(Cast(name, TextField())), wanted), 0)) for name in fields))


def _searched(text: Any) -> Func:
    return Lower(Func(Cast(text, TextField()), function="NORMALIZE", output_field=TextField()))


def _folded(text: Any) -> Func:
    return Func(text, function="promptops_folded", output_field=TextField())
