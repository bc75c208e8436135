"""The JSON Schema of what a serializer takes: the one description of its fields, for API schemas and for forms alike.

It is written in what JSON Schema (2020-12) and OpenAPI 3.0 have in common. A field class whose values are not plain has
a method `openapi(schema, direction)`, as drf-spectacular uses it too.

A form needs a little more than that, which stands in the annotation `x-form` of a field:

- `widget`: what shows the field, if not what its type suggests; a class attribute of the field class
- `title`: its label, if not its name with spaces
- `suggest`: the name of a list of words that the page has for it

All three can be given as a field's `style`, which is DRF's place for such things. governance/form/json_schema.js reads
the annotated schema in the browser; `without_form` removes the annotations for everybody else.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from governance.api.fields import ObjectField

FORM = "x-form"

Schema = dict[str, Any]


def of(field: Any) -> Schema:
    """The schema of what a field or a serializer takes, with the annotations for forms."""
    described = _by_type(field)
    if field.help_text:
        described = {**described, "description": str(field.help_text)}
    if field.default is not serializers.empty and not callable(field.default):
        described = {**described, "default": field.default}
    form = {**({"widget": field.widget} if hasattr(field, "widget") else {}), **field.style}
    return {**described, FORM: form} if form else described


def of_object(serializer: Any) -> Schema:
    """The schema of the object that a serializer takes. What it answers only is left out."""
    fields = {name: field for name, field in serializer.fields.items() if not field.read_only}
    required = [name for name, field in fields.items() if field.required]
    return {
        "type": "object",
        "properties": {name: of(field) for name, field in fields.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def without_form(node: Any) -> Any:
    """A schema without the annotations for forms, in all its parts."""
    if isinstance(node, Mapping):
        return {name: without_form(value) for name, value in node.items() if name != FORM}
    if isinstance(node, list):
        return [without_form(item) for item in node]
    return node


def pattern_of(pattern: str) -> str:
    r"""An expression of Python as ECMA-262 has it: Python's end is \Z, since its `$` lets a last line break through."""
    return pattern.replace(r"\Z", "$")


def _by_type(field: Any) -> Schema:
    if hasattr(field, "openapi"):
        described: Schema = field.openapi(None, "request")
        return described
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        many: Any = field
        bounds = {"minItems": many.min_length, "maxItems": many.max_length}
        return {"type": "array", "items": of(field.child), **_without_none(bounds)}
    if isinstance(field, serializers.Serializer):
        return of_object(field)
    if isinstance(field, ObjectField):
        return {"type": "object"}
    if isinstance(field, serializers.BooleanField):
        return {"type": "boolean"}
    if isinstance(field, serializers.ChoiceField):
        return {"type": "string", "enum": list(field.choices)}
    if isinstance(field, serializers.IntegerField | serializers.FloatField):
        kind = "integer" if isinstance(field, serializers.IntegerField) else "number"
        return {"type": kind, **_without_none({"minimum": field.min_value, "maximum": field.max_value})}
    patterns = [pattern_of(validator.regex.pattern) for validator in field.validators if hasattr(validator, "regex")]
    lengths = {"minLength": None if field.allow_blank else 1, "maxLength": field.max_length}
    return {"type": "string", **_without_none(lengths), **({"pattern": patterns[0]} if patterns else {})}


def _without_none(values: Schema) -> Schema:
    return {name: value for name, value in values.items() if value is not None}
