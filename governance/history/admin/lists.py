"""Lists of long logs: their filters in one form above, their pages without counting or sorting a million rows."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import InvalidPage, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from governance import audit
from governance.access.permissions import ADMIN_MODELS
from governance.admin.base import ReadOnlyAdmin, actor_of
from governance.admin.lists import LeanChangeList
from governance.audit import bounded
from governance.history.admin import exports
from governance.history.admin.forms import LogForm

M = TypeVar("M", bound=Model)


class LogChangeList(LeanChangeList):
    """Newest first, and in no other order: sorting by anything else would read the whole log."""

    form: LogForm

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        admin: Any = self.model_admin
        self.form = admin.form_of(request)
        return super().get_queryset(request, exclude_parameters)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """The form answers for its own; any other filter would be one that nobody counts by."""
        others = super().get_filters_params(params).keys() - self.form.fields.keys()
        if others:
            raise IncorrectLookupParameters(*others)
        return {}

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["-created_at", "-id"]

    def get_results(self, request: HttpRequest) -> None:
        admin: Any = self.model_admin
        self.paginator = Paginator(admin.pages_of(request, self.form, self.queryset), self.list_per_page)
        try:
            rows: list[Any] = list(self.paginator.page(self.page_num).object_list)
        except InvalidPage:
            raise IncorrectLookupParameters(self.page_num) from None
        for row in rows:
            row.workspace_name = self.form.workspaces.get(row.workspace_id, row.workspace_id or "")
        self.result_list = rows
        self.result_count = self.paginator.count
        self.multi_page = self.result_count > self.list_per_page
        self.can_show_all = self.show_full_result_count = self.show_all = False
        self.full_result_count = None
        self.show_admin_actions = False


class LogAdmin(ReadOnlyAdmin[M], Generic[M]):
    """A log with filters and exports. A subclass says what its pages are and what its exports have in them."""

    form_class: ClassVar[type[LogForm]]
    exported: ClassVar[Sequence[str]]
    change_list_template = "governance/admin/log.html"
    sortable_by = ()
    actions = None

    class Media:
        css = {"all": ["governance/observe.css"]}

    def form_of(self, request: HttpRequest) -> LogForm:
        """The request's filters; one form for all who ask."""
        form: LogForm | None = getattr(request, "log_form", None)
        if form is None:
            form = self.form_class(request.GET, actor=actor_of(request))
            setattr(request, "log_form", form)  # noqa: B010  # a request has no such attribute to type
        return form

    def get_list_display(self, request: HttpRequest) -> Any:
        """Who sees one workspace alone needs no column for it."""
        several = len(self.form_of(request).workspaces) > 1
        return [name for name in self.list_display if several or name != "workspace"]

    def pages_of(self, request: HttpRequest, form: Any, rows: QuerySet[M]) -> Any:
        """The rows that the form leaves, as something with `count()` and slices."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LogChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/<slug:kind>/", view, name=f"{self._name}_export"), *super().get_urls()]

    @property
    def _name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        query = request.GET.copy()
        query.pop("p", None)
        more = {"query": query.urlencode(), "export_name": f"admin:{self._name}_export"}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """All that the filters leave of what one may see, as a file."""
        self.require_view(request)
        form = self.form_of(request)
        rows = form.within(self.get_queryset(request))
        name = str(self.opts.verbose_name_plural).replace(" ", "-")
        response = exports.respond(rows, self.exported, kind=kind, name=name)
        resource = ADMIN_MODELS[self.opts.label_lower]
        bounded.record(
            actor=actor_of(request),
            action="export",
            what=f"{resource} {kind}",
            resource=resource,
            resource_id="",
            summary=f"Exported {self.opts.verbose_name_plural} as {kind}",
            workspace_id=None,
            changes=audit.created(**{name: str(value) for name, value in form.chosen.items()}),
        )
        return response
