"""What a row's page in the back office is given beside its form."""

from typing import Any, Generic, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

M = TypeVar("M", bound=Model)


class PageContext(admin.ModelAdmin[M], Generic[M]):
    """An admin whose pages of rows have more in their template's context."""

    def page_context(self, request: HttpRequest, row: M | None) -> dict[str, Any]:
        """What the template is given for the row; `row` is None on the page that adds one."""
        return {}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        context |= self.page_context(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)
