"""Lists of the admin that read no more than they show."""

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst


class LeanChangeList(ChangeList):
    """A list that leaves long columns in the database, and is called what it lists."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_popup:
            self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows.defer(*self.model_admin.list_defer)  # type: ignore[attr-defined]  # ours have it


class LeanPaginator(Paginator[Any]):
    """A page's rows are found by their ids first: the database orders and skips ids, and not rows of many columns."""

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # an admin's list is one
        start = (number - 1) * self.per_page
        lean = rows.select_related(None).prefetch_related(None).values_list("pk", flat=True)
        found = list(lean[start : min(start + self.per_page, self.count)])
        return Page(list(rows.filter(pk__in=found)), number, self)
