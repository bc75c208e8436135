"""The JSON Schema of a definition, made from the types of steps: for editors, the OpenAPI schema and the builder.

What no schema can express, such as whether a step that is referred to exists, is checked when a workflow is saved.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from governance.api.json_schema import Schema, of, of_object, pattern_of, without_form
from workflows.definition.parsing import MAX_INPUTS, MAX_OUTPUTS, SPARE, InputSerializer, OutputPathSerializer
from workflows.language import conditions
from workflows.language.names import IDENTIFIER, INPUT_NAME
from workflows.steps import STEP_TYPES
from workflows.steps.base import Shape, StepType
from workflows.steps.fields.conditions import ComparisonSerializer
from workflows.steps.fields.references import MAX_STEPS

COMPONENTS = "#/components/schemas/"


def of_document(serializer: serializers.Serializer[Any]) -> Schema:
    """The JSON Schema of the document that `serializer` reads, which has a definition in it."""
    document = without_form(of(serializer))
    for field, pattern in (("inputs", INPUT_NAME), ("outputs", IDENTIFIER)):
        document["properties"][field] |= {"propertyNames": {"pattern": pattern_of(pattern)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PromptOps workflow",
        **_localized(document),
        "$defs": _localized(components()),
    }


def components() -> Schema:
    """The parts that refer to each other, by their names."""
    types = {_name_of(step_type): of_type(step_type) for step_type in STEP_TYPES.values()}
    mapping = {step_type.name: COMPONENTS + _name_of(step_type) for step_type in STEP_TYPES.values()}
    parts = {
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
    return {name: without_form(part) for name, part in parts.items()}


def steps() -> Schema:
    return {"type": "array", "maxItems": MAX_STEPS, "items": {"$ref": f"{COMPONENTS}WorkflowStep"}}


def inputs() -> Schema:
    return _by_name("WorkflowInput", MAX_INPUTS)


def outputs() -> Schema:
    return _by_name("WorkflowOutput", MAX_OUTPUTS)


def add_components(result: Schema, **kwargs: Any) -> Schema:
    """A hook of drf-spectacular: the OpenAPI schema gets the parts to which its workflows refer."""
    result["components"]["schemas"].update(components())
    return result


def of_type(step_type: StepType) -> Schema:
    """The schema of one type of step, with the annotations for forms."""
    described = of_object(step_type.fields())
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


def _of_shape(shape: Shape) -> Schema:
    properties: Schema = {name: {"enum": list(words)} for name, words in shape.only.items()}
    properties |= {name: {"not": {}} for name in shape.without}
    return {"properties": properties, **({"required": list(shape.required)} if shape.required else {})}


def _condition() -> Schema:
    whole = of(ComparisonSerializer())
    path, value = whole["properties"]["path"], whole["properties"]["value"]

    def one(ops: Mapping[str, Any], more: Mapping[str, Any]) -> Schema:
        properties = {"path": path, "op": {"type": "string", "enum": list(ops)}, **more}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def joined(name: str, parts: Mapping[str, Any]) -> Schema:
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


def _by_name(component: str, most: int) -> Schema:
    return {
        "type": "object",
        "maxProperties": most,
        "additionalProperties": {"$ref": f"{COMPONENTS}{component}"},
    }


def _name_of(step_type: StepType) -> str:
    return f"WorkflowStep{step_type.name.capitalize()}"


def _localized(node: Any) -> Any:
    """With references into the document itself."""
    if isinstance(node, Mapping):
        return {name: _localized(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_localized(item) for item in node]
    return node.replace(COMPONENTS, "#/$defs/") if isinstance(node, str) else node
