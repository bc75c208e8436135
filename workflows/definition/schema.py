"""The JSON Schema of a definition, made from the step types: for editors, and as a part of the OpenAPI schema.

It is written in what JSON Schema (2020-12) and OpenAPI 3.0 have in common. What no schema can tell, such as whether a
step that is referred to exists, is checked when a workflow is saved.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from governance.api.fields import ObjectField
from workflows.definition.parsing import MAX_INPUTS, MAX_OUTPUTS, SPARE, InputSerializer, OutputPathSerializer
from workflows.language import conditions
from workflows.language.names import IDENTIFIER, INPUT_NAME
from workflows.steps import STEP_TYPES
from workflows.steps.base import Shape, StepType
from workflows.steps.fields.conditions import ComparisonSerializer
from workflows.steps.fields.references import MAX_STEPS

COMPONENTS = "#/components/schemas/"


def of_document(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """The JSON Schema of the document that `serializer` reads, which has a definition in it."""
    document = of(serializer)
    for field, pattern in (("inputs", INPUT_NAME), ("outputs", IDENTIFIER)):
        document["properties"][field] |= {"propertyNames": {"pattern": _pattern(pattern)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PromptOps workflow",
        **_localized(document),
        "$defs": _localized(components()),
    }


def components() -> dict[str, Any]:
    """The parts that refer to each other, by their names."""
    types = {_name_of(step_type): _of_type(step_type) for step_type in STEP_TYPES.values()}
    mapping = {step_type.name: COMPONENTS + _name_of(step_type) for step_type in STEP_TYPES.values()}
    return {
        "WorkflowCondition": _condition(),
        "WorkflowInput": of(InputSerializer()),
        "WorkflowOutput": {
            "oneOf": [{"type": "string", "minLength": 1, "pattern": r"\{\{"}, of(OutputPathSerializer())],
            "description": "A template with a {{name}} in it, or a JMESPath expression.",
        },
        "WorkflowStep": {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "type", "mapping": mapping},
        },
        **types,
    }


def steps() -> dict[str, Any]:
    return {"type": "array", "maxItems": MAX_STEPS, "items": {"$ref": f"{COMPONENTS}WorkflowStep"}}


def inputs() -> dict[str, Any]:
    return _by_name("WorkflowInput", MAX_INPUTS)


def outputs() -> dict[str, Any]:
    return _by_name("WorkflowOutput", MAX_OUTPUTS)


def add_components(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: the OpenAPI schema gets the parts to which its workflows refer."""
    result["components"]["schemas"].update(components())
    return result


def of(field: Any) -> dict[str, Any]:
    """The schema of what a field, or a serializer, takes."""
    described = _of_kind(field)
    if field.help_text:
        described = {**described, "description": str(field.help_text)}
    if field.default is not serializers.empty and not callable(field.default):
        described = {**described, "default": field.default}
    return described


def _of_kind(field: Any) -> dict[str, Any]:
    if hasattr(field, "openapi"):
        described: dict[str, Any] = field.openapi(None, "request")
        return described
    kind: Any = type(field)
    if issubclass(kind, serializers.ListSerializer | serializers.ListField):
        bounds = {"minItems": field.min_length, "maxItems": field.max_length}
        return {"type": "array", "items": of(field.child), **_given(bounds)}
    if isinstance(field, serializers.Serializer):
        return _of_serializer(field)
    if isinstance(field, ObjectField):
        return {"type": "object"}
    if isinstance(field, serializers.BooleanField):
        return {"type": "boolean"}
    if isinstance(field, serializers.ChoiceField):
        return {"type": "string", "enum": list(field.choices)}
    if isinstance(field, serializers.IntegerField | serializers.FloatField):
        whole = isinstance(field, serializers.IntegerField)
        return {
            "type": "integer" if whole else "number",
            **_given({"minimum": field.min_value, "maximum": field.max_value}),
        }
    patterns = [validator.regex.pattern for validator in field.validators if hasattr(validator, "regex")]
    lengths = {"minLength": None if field.allow_blank else 1, "maxLength": field.max_length}
    return {"type": "string", **_given(lengths), **({"pattern": _pattern(patterns[0])} if patterns else {})}


def _of_serializer(serializer: Any) -> dict[str, Any]:
    fields = {name: field for name, field in serializer.fields.items() if not field.read_only}
    required = [name for name, field in fields.items() if field.required]
    return {
        "type": "object",
        "properties": {name: of(field) for name, field in fields.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _of_type(step_type: StepType) -> dict[str, Any]:
    described = _of_serializer(step_type.fields())
    described["properties"]["type"] = {"type": "string", "enum": [step_type.name]}
    for name, values in SPARE.items():
        spare = {"enum": list(values), "nullable": True, "deprecated": True, "description": "Taken and dropped."}
        described["properties"].setdefault(name, spare)
    shapes = _merged(step_type.fields.shapes)
    if shapes:
        described["anyOf"] = [_of_shape(shape) for shape in shapes]
    return {**described, "description": step_type.summary}


def _merged(shapes: Any) -> list[Shape]:
    """Shapes that differ in their words alone, as one."""
    merged: dict[Any, Shape] = {}
    for shape in shapes:
        key = (tuple(shape.only), tuple(shape.required), tuple(shape.without))
        known = merged.get(key)
        words = {name: [*(known.only[name] if known else ()), *shape.only[name]] for name in shape.only}
        merged[key] = Shape(only=words, required=shape.required, without=shape.without)
    return list(merged.values())


def _of_shape(shape: Shape) -> dict[str, Any]:
    properties: dict[str, Any] = {name: {"enum": list(words)} for name, words in shape.only.items()}
    properties |= {name: {"not": {}} for name in shape.without}
    return {"properties": properties, **({"required": list(shape.required)} if shape.required else {})}


def _condition() -> dict[str, Any]:
    whole = of(ComparisonSerializer())
    path, value = whole["properties"]["path"], whole["properties"]["value"]

    def one(ops: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
        properties = {"path": path, "op": {"type": "string", "enum": list(ops)}, **more}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def joined(name: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": {name: parts}, "required": [name], "additionalProperties": False}

    again = {"$ref": f"{COMPONENTS}WorkflowCondition"}
    several = {"type": "array", "minItems": 1, "maxItems": conditions.MAX_PARTS, "items": again}
    return {
        "oneOf": [
            one(conditions.COMPARISONS, {"value": value}),
            one(conditions.TESTS, {}),
            joined("and", several),
            joined("or", several),
            joined("not", again),
        ]
    }


def _by_name(component: str, most: int) -> dict[str, Any]:
    return {
        "type": "object",
        "maxProperties": most,
        "additionalProperties": {"$ref": f"{COMPONENTS}{component}"},
    }


def _name_of(step_type: StepType) -> str:
    return f"WorkflowStep{step_type.name.capitalize()}"


def _pattern(pattern: str) -> str:
    return pattern.replace(r"\Z", "$")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _localized(node: Any) -> Any:
    """With references into the document itself."""
    if isinstance(node, Mapping):
        return {name: _localized(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_localized(item) for item in node]
    return node.replace(COMPONENTS, "#/$defs/") if isinstance(node, str) else node
