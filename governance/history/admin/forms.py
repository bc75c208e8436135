"""What a log can be narrowed down by: one form for its list, its exports and its charts."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.history.windows import BEGINNING, window
from governance.tenancy.models import Workspace

ANY = ("", "Any")

WINDOWS = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
    "quarter": ("Last 90 days", timedelta(days=90)),
}


class MomentField(forms.DateTimeField):
    """A time in UTC, as `<input type="datetime-local">` sends it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(**{"required": False, "widget": widget, **kwargs})

    def clean(self, value: Any) -> datetime | None:
        moment: datetime | None = super().clean(value)
        return None if moment is None else min(max(moment, BEGINNING), timezone.now() + timedelta(days=1))


class ListedInput(forms.TextInput):
    """A text field with a list of what there is to choose from."""

    template_name = "governance/admin/widgets/listed.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.offered: list[str] = []

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, {**(attrs or {}), "list": f"offered_{name}"})
        return {**context, "offered": self.offered}


class LogForm(forms.Form):
    """The filters of a log, in an address. `narrowed` gives the rows that they leave, the window aside."""

    #: The fields that a column of the same rows answers, and that column.
    columns: ClassVar[dict[str, str]] = {}
    #: The fields that are always shown; the others open on a click, or when one of them is set.
    main: ClassVar[tuple[str, ...]] = ()

    workspace = forms.ChoiceField(required=False)
    window = forms.ChoiceField(
        required=False, label="When", choices=[ANY, *((name, label) for name, (label, _) in WINDOWS.items())]
    )
    since = MomentField(label="From (UTC)")
    until = MomentField(label="Until (UTC)")

    def __init__(self, data: Any, *, actor: Actor) -> None:
        super().__init__(data, label_suffix="")
        self.workspaces: dict[str, str] = dict(
            visible_to(actor, Workspace.objects.order_by("name")).values_list("pk", "name")
        )
        self.offer("workspace", self.workspaces.items())

    def offer(self, name: str, choices: Any) -> None:
        """Let a field be chosen among these, and what the address says."""
        field: Any = self.fields[name]
        there = [(value, label) for value, label in choices if value]
        asked = self.data.get(name, "")
        if asked and name != "workspace" and asked not in dict(there):
            there.append((asked, asked))
        field.choices = [ANY, *there]

    @property
    def chosen(self) -> dict[str, Any]:
        """The filters that are set; none when one of them can't be read."""
        return {name: value for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.main]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.main]

    @property
    def uses_more(self) -> bool:
        return any(field.errors or field.value() for field in self.more_fields)

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The window, in whole hours: what was typed goes before what was chosen."""
        chosen = self.chosen
        since, until = chosen.get("since"), chosen.get("until")
        if since is None and until is None and "window" in chosen:
            since = timezone.now() - WINDOWS[chosen["window"]][1]
        return window(since, until)

    def narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """`rows` by what is chosen, the window aside."""
        chosen = self.chosen
        if not self.is_valid():
            return rows.none()
        return rows.filter(**{column: chosen[name] for name, column in self.columns.items() if name in chosen})

    def within(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The same in the window."""
        since, until = self.span()
        rows = self.narrowed(rows)
        rows = rows.filter(created_at__gte=since) if since else rows
        return rows.filter(created_at__lt=until) if until else rows


class AuditForm(LogForm):
    columns = {
        "workspace": "workspace_id",
        "action": "action",
        "resource": "resource",
        "resource_id": "resource_id",
        "actor": "actor",
        "actor_id": "actor_id",
        "key": "key",
    }
    main = ("key", "action", "resource", "actor", "window")
    field_order = (*main, "workspace", "resource_id", "actor_id")

    action = forms.CharField(required=False, max_length=40, widget=ListedInput)
    resource = forms.CharField(required=False, max_length=40, widget=ListedInput)
    key = forms.CharField(required=False, max_length=200)
    actor = forms.CharField(required=False, max_length=200)
    resource_id = forms.CharField(required=False, max_length=36, label="Id of what it was done to")
    actor_id = forms.CharField(required=False, max_length=36, label="Id of the user or token that did it")
