"""The base classes of the admin's pages: they show what the actor may see, and write by calling the services."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import model_ngettext, quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.admin.conflicts import conflicts
from governance.admin.forms import OperationForm, ServiceForm
from governance.admin.lists import LeanChangeList, LeanPaginator
from governance.admin.lookups import DeclaredLookups
from governance.admin.pages import PageContext
from governance.api.exceptions import RACED
from governance.api.filtering import containing
from governance.core import registry
from governance.core.db import conflict_of
from governance.core.errors import ConflictError, DomainError, InvalidInputError, NotFoundError
from governance.core.text import words_of

M = TypeVar("M", bound=Model)

#: Errors that a page reports to the user. The last three are constraints that failed because two writers raced.
REFUSALS = (DomainError, IntegrityError, DataError, ObjectDoesNotExist)

#: Up to so many rows that a search found are put into the next query by their ids.
FEW = 500


@dataclass(frozen=True, slots=True)
class ChoiceField(registry.Entry):
    """The form field that offers a model's rows in every form of the admin, in place of Django's own."""

    model: type[Model]
    field: type[forms.ModelChoiceField[Any]]


def actor_of(request: HttpRequest) -> Actor:
    """The actor of the user who is logged in to the admin."""
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101  # the admin site let nobody else in
    return Actor.of_user(request.user, session_key=request.session.session_key)


def as_refusal(error: Exception) -> DomainError:
    """The sentence that a page shows for one of REFUSALS."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, IntegrityError):
        if conflict_of(error) == "refused":
            raise error  # no race: a fault of ours
        return ConflictError(RACED[conflict_of(error)].removeprefix("conflict: "))
    if isinstance(error, DataError):
        return InvalidInputError("a value is out of the range that can be stored")
    return NotFoundError("somebody else deleted this at the same time")


def block(text: str) -> SafeString:
    """Text as it is, line by line."""
    return format_html("<pre>{}</pre>", text)


def as_json(value: object) -> SafeString:
    """A value as JSON, indented."""
    return block(json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))


class ScopedAdmin(DeclaredLookups, PageContext[M], Generic[M]):
    """Shows the rows that the user may see, in lists, on pages and among the choices of a form.

    `scoped` is False for the few models that belong to no workspace: for these the table of permissions alone decides.
    """

    scoped: ClassVar[bool] = True
    list_defer: ClassVar[Sequence[str]] = ()
    list_per_page = 50
    paginator = LeanPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter would be a query each

    class Media:
        css = {"all": ["governance/admin.css"]}
        js = [forms.Script("governance/editor.js", type="module")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows = super().get_queryset(request)
        return visible_to(actor_of(request), rows) if self.scoped else rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LeanChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        """As the API searches: every word is in one of the fields, the case of each letter aside."""
        try:
            words = words_of(search_term) if self.get_search_fields(request) else []
        except ValueError as problem:
            self.message_user(request, f"Nothing was searched: {problem}.", messages.WARNING)
            return queryset.none(), False
        for word in words:
            queryset = self.narrowed(queryset, word, self.get_search_fields(request))
        return queryset, False

    def narrowed(self, rows: QuerySet[M], word: str, fields: Sequence[str]) -> QuerySet[M]:
        """Those that have `word` in one of the fields. Not joined: no row comes twice."""
        found = self.model._default_manager.filter(containing(word, *fields)).order_by().values_list("pk", flat=True)
        few = list(found[: FEW + 1])  # or all texts are searched for the count, and again for the page
        return rows.filter(pk__in=few if len(few) <= FEW else found)

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> QuerySet[Any]:
        """A choice among related rows is a choice among those that their own list shows."""
        related: admin.ModelAdmin[Any] = self.admin_site.get_model_admin(db_field.remote_field.model)
        return related.get_queryset(request)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget  # a choice, without buttons beside it that add, change and delete
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        for choice in registry.entries(ChoiceField):
            if choice.model is db_field.remote_field.model:
                kwargs.setdefault("form_class", choice.field)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the audit log, which has what was done over the API too; Django's own log has not."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._missing(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:governance_auditentry_changelist')}?resource_id={row.pk}")

    def require_view(self, request: HttpRequest) -> None:
        """Raise PermissionDenied unless one may look at these rows: for pages that are no list and no row's."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        redirect: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]  # Django's own
            request, self.opts, object_id
        )
        return redirect


class ReadOnlyAdmin(ScopedAdmin[M], Generic[M]):
    """A log, or what is written with something else: to be looked at. `shown` are the fields of a row's page."""

    shown: ClassVar[Sequence[str]] = ()

    def get_fields(self, request: HttpRequest, obj: M | None = None) -> list[Any]:
        return list(self.shown) or [field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


class ServiceAdmin(ScopedAdmin[M], Generic[M]):
    """Rows that users edit. A subclass calls the services that do it, as the API's viewset does.

    When a service refuses, the page shows why, with the input still in the form. `add_fields` and `change_fields` are
    the form's fields, `readonly_fields` what a page shows beside them.
    """

    form: type[ServiceForm[Any]]
    add_fields: ClassVar[Sequence[str]] = ()
    change_fields: ClassVar[Sequence[str]] = ()
    actions = ["delete_selected"]

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> M:
        raise NotImplementedError

    def perform_update(self, actor: Actor, row: M, values: dict[str, Any], if_match: str | None) -> M:
        raise NotImplementedError

    def perform_destroy(self, actor: Actor, row: M) -> None:
        raise NotImplementedError

    def belongings(self, rows: Iterable[M]) -> dict[str, int]:
        """How many rows are deleted with `rows`, by their plural name: for the page that asks for confirmation."""
        return {}

    # --- the form -----------------------------------------------------------------------------------------------

    def get_fields(self, request: HttpRequest, obj: M | None = None) -> list[Any]:
        if obj is None:
            return list(self.add_fields)
        hidden = ["if_match"] if self.has_change_permission(request, obj) else []
        return [*self.change_fields, *self.readonly_fields, *hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> list[Any]:
        return [] if obj is None else list(self.readonly_fields)

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> type[ServiceForm[M]]:
        form: Any = super().get_form(request, obj, change, **kwargs)  # a class of its own for each request
        form.refusal = getattr(request, "refusal", None)
        return form  # type: ignore[no-any-return]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            # The transaction is undone. The same view shows the same input again, and the form adds the refusal.
            setattr(request, "refusal", as_refusal(error))  # noqa: B010  # a request has no such attribute to type
        return super().changeform_view(request, object_id, form_url, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        form: ServiceForm[M] = context["adminform"].form
        if form.stale:
            context |= {"conflicts": conflicts(form), "tag": form.tag}
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- writes -------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:
        if change:
            saved = self.perform_update(actor_of(request), obj, form.values, form.seen)
        else:
            saved = self.perform_create(actor_of(request), form.values)
        obj.__dict__.update(saved.__dict__)  # Django goes on with `obj`: its log and its redirect need the row's id

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing to do: the service has written it all."""

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        self.perform_destroy(actor_of(request), obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What the confirmation lists. The service decides whether it may be deleted, not the foreign keys."""
        rows = list(objs)
        counts = {str(self.opts.verbose_name_plural): len(rows), **self.belongings(rows)}
        return [f"{self.opts.verbose_name}: {row}" for row in rows], counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except REFUSALS as error:
            self.message_user(request, as_refusal(error).message, messages.ERROR)
        return HttpResponseRedirect(self.page_of(unquote(object_id)))

    @admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[M]) -> HttpResponse | None:
        if not request.POST.get("post"):
            return delete_selected(self, request, queryset)  # Django's own asks for confirmation

        def delete(row: M) -> None:
            self.log_deletions(request, [row])  # type: ignore[arg-type]  # Django passes a list itself
            self.delete_model(request, row)

        self.for_each(request, queryset, delete, "Deleted")
        return None

    def for_each(self, request: HttpRequest, rows: Iterable[M], perform: Callable[[M], object], done_word: str) -> None:
        """Perform it on each row in a transaction of its own and report the outcome: one refusal stops no other row."""
        done = 0
        for row in rows:
            name = f"{self.opts.verbose_name} {row}"
            try:
                with transaction.atomic():
                    perform(row)
            except REFUSALS as error:
                self.message_user(request, f"{name}: {as_refusal(error).message}", messages.ERROR)
            else:
                done += 1
        if done:
            self.message_user(request, f"{done_word} {done} {model_ngettext(self.opts, done)}.", messages.SUCCESS)

    # --- what is done to one row --------------------------------------------------------------------------------

    def page_of(self, pk: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(pk)])

    def operation_url(self, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        """The address of one operation; goes before the admin's own addresses, whose last one takes everything."""
        return path(
            f"<path:object_id>/{name}/",
            self.admin_site.admin_view(view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_{name}",
        )

    def operate(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        title: str,
        form_class: type[OperationForm],
        perform: Callable[[Actor, M, Any], str],
        button: str,
        note: str = "",
        template: str = "governance/admin/operation.html",
        facts: Callable[[M, Any], dict[str, Any]] | None = None,
    ) -> HttpResponse:
        """A page with a small form that does one thing to one row. `perform` returns the message of success.

        `facts` returns what `template` shows beside the form, from the row and the form.
        """
        row = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._missing(request, object_id)
        form = form_class(request.POST if request.method == "POST" else None, row=row, initial=request.GET.dict())
        if form.is_valid():
            try:
                with transaction.atomic():
                    message = perform(actor_of(request), row, form)
            except REFUSALS as error:
                form.add_refusal(as_refusal(error))
            else:
                self.message_user(request, message, messages.SUCCESS)
                return HttpResponseRedirect(self.page_of(row.pk))
        fields: Any = form  # AdminForm is typed for the forms of models; any form will do
        fieldsets: Any = [(None, {"fields": list(form.fields)})]
        context = {
            "form": form,
            "adminform": helpers.AdminForm(fields, fieldsets, {}, model_admin=self),
            "button": button,
            "note": note,
            "media": self.media + form.media,
            **(facts(row, form) if facts else {}),
        }
        return self.show(request, template, title, row, context)

    def show(
        self, request: HttpRequest, template: str, title: str, row: M | None, context: dict[str, Any]
    ) -> TemplateResponse:
        """A page of our own, of one row or of none."""
        about = {"subtitle": str(row), "back": self.page_of(row.pk)} if row else {}
        whole = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "original": row,
            "media": self.media,
            **about,
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, whole)
