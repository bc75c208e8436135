"""Form schemas: the fields of a serializer as JSON, of which a page's script makes a form.

A field is `{"name", "label", "kind", "help", "required"}` and what its kind needs besides: `choices`, `min`, `max`,
`default`, the `fields` of a group or of each item of a list, `of`, what a list of plain values holds, and `suggest`,
the name of a list of words that the page knows.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.fields import ObjectField

#: Labels of fields whose names, capitalized, would not do.
LABELS = {"url": "URL", "json": "JSON body", "env": "Environment", "op": "Operation"}

#: So many words are offered for a field; one that is not among them can be typed all the same.
WORDS_AT_MOST = 300

Kinds = Mapping[type[Any], str]


def form_schema(
    serializer: Any, *, kinds: Kinds, suggest: Mapping[str, str], without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The fields of a serializer that can be sent, but for those `without`.

    `kinds` are the kinds of the caller's own field classes, subclasses before their bases. `suggest` names the list of
    suggested words of a field.
    """
    return [
        _field(name, field, kinds, suggest)
        for name, field in serializer.fields.items()
        if not field.read_only and name not in without
    ]


def words(actor: Actor, rows: QuerySet[Any], name: str, workspace_id: str | None) -> list[str]:
    """What the field `name` of those rows has that `actor` may see, each once; of one workspace, or of all."""
    model: Any = rows.model
    if workspace_id is not None:
        rows = rows.filter(**{model.workspace_path: workspace_id})
    return list(visible_to(actor, rows).order_by(name).values_list(name, flat=True).distinct()[:WORDS_AT_MOST])


def _field(name: str, field: Any, kinds: Kinds, suggest: Mapping[str, str]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "name": name,
        "label": LABELS.get(name, name.replace("_", " ").capitalize()),
        "help": str(field.help_text or ""),
        "required": field.required,
        **_kind(field, kinds, suggest),
    }
    if field.default is not serializers.empty and not callable(field.default):
        schema["default"] = field.default
    if name in suggest:
        schema["suggest"] = suggest[name]
    return schema


def _kind(field: Any, kinds: Kinds, suggest: Mapping[str, str]) -> dict[str, Any]:
    known = next((kind for of, kind in kinds.items() if isinstance(field, of)), None)
    if known is not None:
        return {"kind": known}
    if isinstance(field, serializers.ListSerializer):
        return {"kind": "list", "fields": form_schema(field.child, kinds=kinds, suggest=suggest)}
    if isinstance(field, serializers.BaseSerializer):
        return {"kind": "group", "fields": form_schema(field, kinds=kinds, suggest=suggest)}
    if isinstance(field, serializers.ListField):
        return {"kind": "words", "of": _kind(field.child, kinds, suggest)}
    if isinstance(field, serializers.BooleanField):
        return {"kind": "flag"}
    if isinstance(field, serializers.ChoiceField):
        return {"kind": "choice", "choices": list(field.choices)}
    if isinstance(field, serializers.IntegerField | serializers.FloatField | serializers.DecimalField):
        whole = isinstance(field, serializers.IntegerField)
        bounds = {"min": field.min_value, "max": field.max_value}
        limits = {name: value for name, value in bounds.items() if value is not None}
        return {"kind": "number", "whole": whole, **limits}
    if isinstance(field, ObjectField | serializers.JSONField):
        return {"kind": "json"}
    long = (getattr(field, "max_length", None) or 0) >= 2000
    return {"kind": "text", "long": long}
