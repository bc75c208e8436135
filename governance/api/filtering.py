"""List filters: django-filter, with the contract's 400 for a value that can't be read."""

from django_filters import rest_framework as filters


class FilterBackend(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter is untyped
    """The one filter backend; views name a `filterset_class`."""


class ApiFilterSet(filters.FilterSet):  # type: ignore[misc]
    """The base of every filter set."""


class WindowFilterSet(ApiFilterSet):
    """`since` (included) and `until` (excluded) on `created_at`, as RFC 3339 times."""

    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte", label="RFC 3339; this or later")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt", label="RFC 3339; before this")
    workspace = filters.CharFilter(field_name="workspace_id")
