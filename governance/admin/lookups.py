"""What the lists of the back office can be filtered by: what they offer, and nothing else.

Left to itself, Django takes any lookup of a list's own fields from the address. By `content__regex` one request keeps a
process busy for hours, and by `digest__startswith` a secret is found out letter by letter.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.db import models
from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime

from governance.api.fields import EARLIEST, LATEST

#: Years whose days can be added to and taken from, in any time zone.
YEARS = range(EARLIEST.year, LATEST.year)

_PART = re.compile(r"[0-9]{1,4}", re.ASCII)


class DeclaredLookups:
    """A mixin that the admin site adds to every ModelAdmin which is registered there.

    `linked_lookups` are allowed too, though no filter offers them: links on our own pages have them.
    """

    linked_lookups: ClassVar[Sequence[str]] = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        admin: Any = self  # it is mixed into one
        if lookup in self.linked_lookups:
            return True
        if lookup in {f"{admin.date_hierarchy}__{part}" for part in ("year", "month", "day")}:
            return _is_part(lookup, str(value))
        filters = admin.list_filter if request is None else admin.get_list_filter(request)
        return any(lookup == name and _fits(lookup, str(value)) for name in _offered(admin.model, filters))


def _offered(model: type[models.Model], filters: Any) -> Iterator[str]:
    """What the filters put into addresses (see django.contrib.admin.filters)."""
    for item in filters:
        if isinstance(item, type) and issubclass(item, SimpleListFilter):
            yield str(item.parameter_name)
            continue
        path: str = item[0] if isinstance(item, list | tuple) else item
        field: Any = get_fields_from_path(model, path)[-1]
        yield f"{path}__isnull"
        if field.is_relation:
            yield f"{path}__{field.target_field.name}__exact"
        elif isinstance(field, models.DateField):
            yield from (f"{path}__gte", f"{path}__lt")
        else:
            yield from (path, f"{path}__exact")


def _is_part(lookup: str, value: str) -> bool:
    return _PART.fullmatch(value) is not None and (not lookup.endswith("__year") or int(value) in YEARS)


def _fits(lookup: str, value: str) -> bool:
    """Whether no sum of times goes beyond the first or the last year; what is no time at all, Django refuses."""
    if not lookup.endswith(("__gte", "__lt")):
        return True
    try:
        moment: Any = parse_datetime(value) or parse_date(value)
    except ValueError:
        return False
    return moment is not None and moment.year in YEARS
