"""Two users edit one row at once: what the second one typed, beside what the first one saved."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Model

from governance.admin.forms import LinesField, ServiceForm
from governance.core.diffs import Diff, side_by_side


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field of a form that differs from the row as it is now.

    `saved` and `typed` are the two values as they are shown; `value` is the saved one as the form's field takes it,
    None for fields that are not typed in. `diff` is there for texts of several lines.
    """

    label: str
    id: str
    saved: str
    typed: str
    value: str | None
    diff: Diff | None


def conflicts(form: ServiceForm[Any]) -> list[Conflict]:
    """The fields in which the form and the row, as it is now, are not the same."""
    found = []
    for name in form.changed_data:
        if name == "if_match":
            continue
        field, bound = form.fields[name], form[name]
        saved = field.prepare_value(form.get_initial_for_field(field, name))
        shown = _shown(field, saved), _shown(field, bound.value())
        diff = side_by_side(*shown) if isinstance(field, LinesField) else None
        value = str(saved) if isinstance(field.widget, forms.TextInput | forms.Textarea) else None
        found.append(Conflict(str(bound.label), bound.id_for_label, *shown, value, diff))
    return found


def _shown(field: forms.Field, value: Any) -> str:
    """A field's value as users read it."""
    if isinstance(value, Model):
        return str(value)
    if isinstance(field, forms.ModelChoiceField) and not isinstance(value, list):
        row = field.queryset.filter(pk=value).first() if field.queryset is not None and value else None
        return field.label_from_instance(row) if row else ""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value).replace("\r\n", "\n")
