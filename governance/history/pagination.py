"""Pages of the audit log and the run log, at any length."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView

from governance.api.pagination import FAR_BEYOND, LimitOffset, number
from governance.history.counts import CountedPages
from governance.history.models import LogCount

#: The filters by which the counts of past hours can be narrowed down too.
COUNTED_BY = {"workspace", "since", "until"}


class LogLimitOffset(LimitOffset):
    """For audit and runs, whose lists are long: a page in a million rows costs what one in a thousand does.

    That holds for what a log can be narrowed down to by workspace and time; by other filters it is counted as usual.
    """

    default_limit = 50
    max_limit = 200

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        narrowed = {name for name, value in request.query_params.items() if value}
        filters: Any = getattr(view, "filterset_class", None)
        if not isinstance(queryset, QuerySet) or narrowed & (filters.base_filters.keys() - COUNTED_BY):
            return super().paginate_queryset(queryset, request, view)
        limit = min(number(request, "limit", self.default_limit), self.max_limit)
        offset = min(number(request, "offset", 0), FAR_BEYOND)
        counted: QuerySet[LogCount] = getattr(view, "counts")()  # noqa: B009  # the views of logs have it
        if request.query_params.get("workspace"):
            counted = counted.filter(workspace_id=request.query_params["workspace"])
        window = filters(request.query_params, queryset=queryset).cleaned_data
        pages = CountedPages(queryset, counted, since=window.get("since"), until=window.get("until"))
        self.total = pages.count()
        return pages[offset : offset + limit] if limit else []
