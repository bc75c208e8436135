"""Admin pages of models with a draft, versions and a live one: to publish, to roll back, and to compare."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from governance.access.actors import Actor
from governance.admin.base import M, ServiceAdmin
from governance.admin.forms import OperationForm

VERSIONS_A_PAGE = 50


class VersionsForm(OperationForm):
    """A form with choices among the row's versions, newest first."""

    version_fields: tuple[str, ...] = ()

    def __init__(self, data: Any, *, row: Any, initial: dict[str, Any]) -> None:
        super().__init__(data, row=row, initial=initial)
        labels = list(row.versions.values_list("label", flat=True))
        for name in self.version_fields:
            choice: Any = self.fields[name]
            choice.choices = [("", "---------"), *((label, label) for label in labels)]


class PublishForm(OperationForm):
    """Subclasses name the serializer that checks it."""

    dropped_when_empty = ("version",)
    note = forms.CharField(required=False, max_length=1000, widget=AdminTextInputWidget, help_text="What is new in it.")
    version = forms.CharField(
        required=False,
        max_length=64,
        help_text="The new version's label. Empty for the draft's own, or if that is taken, the next free one.",
    )


class RollbackForm(VersionsForm):
    """Subclasses name the serializer that checks it."""

    version_fields = ("version",)
    version = forms.ChoiceField(help_text="It becomes live again, and the draft becomes equal to it.")


class VersionedAdmin(ServiceAdmin[M]):
    """The part of an admin that has a page for each operation on versions.

    `services` has `publish` and `rollback`, which take the row by its model's name. `compare` returns the difference
    between two states, the first of which may be None, for the templates in `templates`. `bulky` are a version's
    columns that a list of them leaves in the database.
    """

    services: ModuleType
    compare: Callable[[Any, Any], Any]
    templates: ClassVar[str]
    bulky: ClassVar[tuple[str, ...]]
    publish_form: ClassVar[type[PublishForm]]
    rollback_form: ClassVar[type[RollbackForm]]
    publish_note: ClassVar[str]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("publish", self.publish_view),
            self.operation_url("rollback", self.rollback_view),
            self.operation_url("versions", self.versions_view),
            *super().get_urls(),
        ]

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, row: Any, form: PublishForm) -> str:
            version = self.services.publish(actor=actor, **self._named(row), if_match=form.seen, **form.values)
            return f"Published {row.key} {version.label}."

        def facts(row: Any, form: PublishForm) -> dict[str, Any]:
            return {"live": row.live, "difference": self.compare(row.live, row)}

        return self.operate(
            request,
            object_id,
            title="Publish",
            form_class=self.publish_form,
            perform=perform,
            button="Publish",
            note=self.publish_note,
            template=f"{self.templates}/publish.html",
            facts=facts,
        )

    def rollback_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, row: Any, form: RollbackForm) -> str:
            done = self.services.rollback(actor=actor, **self._named(row), if_match=form.seen, **form.values)
            return f"Rolled {done.key} back to {done.version}."

        def facts(row: Any, form: RollbackForm) -> dict[str, Any]:
            target = row.versions.filter(label=form["version"].value() or "").first()
            if target is None:
                return {}
            return {"target": target, "live": row.live, "difference": self.compare(row.live, target)}

        return self.operate(
            request,
            object_id,
            title="Roll back",
            form_class=self.rollback_form,
            perform=perform,
            button="Roll back",
            template=f"{self.templates}/rollback.html",
            facts=facts,
        )

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Every version, and the diff of the two that the address names (`a`, `b`; `draft` is the draft)."""
        row: Any = self.seen(request, object_id)
        if row is None:
            return self._missing(request, object_id)
        page = Paginator(row.versions.defer(*self.bulky), VERSIONS_A_PAGE).get_page(request.GET.get("p"))
        labels = [version.label for version in page]
        chosen = [request.GET.get(name) or "".join(labels[place : place + 1]) for place, name in ((1, "a"), (0, "b"))]
        old, new = (self.state_named(row, name) for name in chosen)
        context = {
            "page": page,
            "old": old,
            "new": new,
            "difference": self.compare(old, new) if old and new else None,
            "may_change": self.has_change_permission(request, row),
        }
        return self.show(request, f"{self.templates}/versions.html", "Versions", row, context)

    def _named(self, row: M) -> dict[str, M]:
        """As services take it: by the name of what it is."""
        return {str(self.opts.model_name): row}

    # --- what their pages share ---------------------------------------------------------------------------------

    def seen(self, request: HttpRequest, object_id: str) -> M | None:
        """The row, if there is one that this person may see. Raises PermissionDenied for who may see none."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def state_named(self, row: Any, name: str) -> Any:
        """The draft by the name of `draft`, else the version of that label; None where there is none."""
        return row if name == "draft" else row.versions.filter(label=name).first()
