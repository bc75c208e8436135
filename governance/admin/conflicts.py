"""Two people at one form: what the second one typed, beside what the first one saved."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Model

from governance.admin.forms import LinesField, ServiceForm
from governance.core.diffs import Diff, side_by_side


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that differs. `theirs` and `mine` are as people read them; `value` is what puts theirs into the form."""

    label: str
    id: str
    theirs: str
    mine: str
    value: str | None
    diff: Diff | None


def clashes(form: ServiceForm[Any]) -> list[Clash]:
    """The fields in which the form and the row, as it is now, are not the same."""
    found = []
    for name in form.changed_data:
        if name == "if_match":
            continue
        field, bound = form.fields[name], form[name]
        theirs = field.prepare_value(form.get_initial_for_field(field, name))
        mine = bound.value()
        told = _told(field, theirs), _told(field, mine)
        diff = side_by_side(*told) if isinstance(field, LinesField) else None
        value = str(theirs) if isinstance(field.widget, forms.TextInput | forms.Textarea) else None
        found.append(Clash(str(bound.label), bound.id_for_label, *told, value, diff))
    return found


def _told(field: forms.Field, value: Any) -> str:
    if isinstance(value, Model):
        return str(value)
    if isinstance(field, forms.ModelChoiceField) and not isinstance(value, list):
        row = field.queryset.filter(pk=value).first() if field.queryset is not None and value else None
        return field.label_from_instance(row) if row else ""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value).replace("\r\n", "\n")
