"""Reads a definition and refuses what could not run. Workflows of other keys are not looked at here.

A definition is `{"inputs", "steps", "outputs"}`; the first and the last may be left out. `parse` is for what comes in,
`load` for what was stored: that was checked when it came in, and a run must not stumble over rules that came later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from governance.api.fields import FlagField, PatternField, StringField
from governance.api.serializers import ApiSerializer
from governance.core.errors import InvalidInputError
from prompts.content.rendering import variables_of
from workflows.definition import secrets as stored_secrets
from workflows.definition.problems import as_json, first_sentence, sentence_of
from workflows.language.names import RESERVED, STEP_FIELDS, step_ids, text_of
from workflows.language.structure import Definition, Retry, Step, walk
from workflows.steps import STEP_TYPES, StepType
from workflows.steps.fields.plain import ChoiceField, JsonField
from workflows.steps.fields.references import MAX_STEPS, IdentifierField, InputNameField, PathField, TemplateField
from workflows.steps.fields.scope import Scope

MAX_INPUTS = MAX_OUTPUTS = 50
#: Steps of a definition in all, those inside of others included.
MAX_STEPS_IN_ALL = 200

#: Values that the first clients send with each step whatever its type. They are accepted and dropped.
SPARE: dict[str, tuple[Any, ...]] = {
    "template": ("", None),
    "provider": ("", None, "mock"),
    "model": ("", None),
    "op": ("", None, "upper"),
}

KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
}


class InputSerializer(ApiSerializer):
    """A variable that a workflow takes."""

    type = ChoiceField([*KINDS, "any"], required=False, default="any")
    description = StringField(required=False, allow_blank=True, max_length=1000)
    required = FlagField(required=False, default=False)  # type: ignore[assignment]  # a field
    default = JsonField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "default" in attrs and attrs["required"]:
            raise ValidationError({"default": ["an input with a default is not required: expected one of the two"]})
        if "default" in attrs and not is_of(attrs["default"], attrs["type"]):
            raise ValidationError({"default": [f"expected {_article(attrs['type'])}"]})
        return attrs


class OutputPathSerializer(ApiSerializer):
    path = PathField()


class OutputField(serializers.Field[Any, Any, Any, Any]):
    """An output of a workflow: a template, or `{"path": a JMESPath expression}`."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            if not variables_of(data):
                raise ValidationError('expected a template with a {{name}} in it, or {"path": a JMESPath expression}')
            template = TemplateField()
            template.bind("template", self.parent)
            return template.run_validation(data)
        if not isinstance(data, Mapping):
            raise ValidationError('expected a template, or {"path": a JMESPath expression}')
        path = OutputPathSerializer(data=data, context=self.context)
        path.is_valid(raise_exception=True)
        return dict(path.validated_data)

    def to_representation(self, value: Any) -> Any:
        return value


class _OutputSerializer(serializers.Serializer[Any]):
    output = OutputField()


def parse(raw: Mapping[str, Any], *, secrets: Mapping[str, Mapping[str, Any]] | None = None) -> Definition:
    """The definition, checked as a whole, with defaults filled in and every step named.

    `secrets` are the stored ones that it may keep (`secrets_in`). Raises InvalidInputError; its `fields` name each
    faulty step by its place, counted from 0.
    """
    inputs = _parse_inputs(raw.get("inputs", {}))
    scope = Scope(inputs=frozenset(inputs), secrets=secrets or {}, parse_steps=_parse_steps)
    steps = raw.get("steps", [])
    try:
        parsed = _parse_steps(steps, scope) if steps != [] else []
    except ValidationError as error:
        raise InvalidInputError(sentence_of(steps, error.detail), fields={"steps": as_json(error.detail)}) from None
    if (count := len(list(walk(parsed)))) > MAX_STEPS_IN_ALL:
        raise InvalidInputError.of("steps", f"expected at most {MAX_STEPS_IN_ALL} steps in all, not {count}")
    seen = dict(zip(step_ids(parsed), map(_fields_of, parsed), strict=True))
    outputs = _parse_outputs(raw.get("outputs", {}), replace(scope, steps=seen))
    return load({"inputs": inputs, "steps": parsed, "outputs": outputs})


def load(stored: Mapping[str, Any]) -> Definition:
    """The definition that is stored like that."""
    return Definition(
        inputs=stored.get("inputs", {}), steps=_load_steps(stored["steps"]), outputs=stored.get("outputs", {})
    )


def load_to_run(stored: Mapping[str, Any]) -> Definition:
    """The same, for a run. Raises InvalidInputError when there is nothing to do: a draft may be as empty as that."""
    loaded = load(stored)
    if not loaded.steps:
        raise InvalidInputError.of("steps", "this workflow has no steps yet: there is nothing to run")
    return loaded


def shown(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A stored definition for people: without its secrets."""
    return {**definition, "steps": [stored_secrets.masked(step) for step in definition["steps"]]}


def secrets_in(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The secrets of a stored definition, by the ids in their masks."""
    return stored_secrets.by_id(definition["steps"])


def called(definition: Definition) -> set[str]:
    """The keys of the workflows that this one runs."""
    return {step["workflow_key"] for step in _walk_loaded(definition.steps) if step.type == "workflow"}


def providers(definition: Definition) -> set[str]:
    """The names of the model providers that its steps use."""
    return {step["provider"] for step in _walk_loaded(definition.steps) if "provider" in step.fields}


def settle(inputs: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a run, with the defaults of inputs. Raises InvalidInputError, of `variables`."""
    problems: dict[str, list[str]] = {}
    settled = dict(variables)
    for name, declared in inputs.items():
        if name not in settled:
            if "default" in declared:
                settled[name] = declared["default"]
            elif declared["required"]:
                problems[name] = ["required"]
        elif not is_of(settled[name], declared["type"]):
            problems[name] = [f"expected {_article(declared['type'])}"]
    if problems:
        name, [problem] = next(iter(problems.items()))
        raise InvalidInputError(f"variables: {name}: {problem}", fields={"variables": problems})
    return settled


def is_of(value: Any, kind: str) -> bool:
    """Whether a JSON value is of that kind: true is no number, and 1.0 is an integer."""
    if kind == "any":
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])


# --- what comes in ----------------------------------------------------------------------------------------------


def _parse_steps(steps: object, scope: Scope) -> list[dict[str, Any]]:
    """Steps of one list. Raises ValidationError with the problems of each faulty one under its place."""
    if not isinstance(steps, list):
        raise ValidationError(["expected a list of steps"])
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValidationError([f"expected 1 to {MAX_STEPS} steps"])
    ids = step_ids(steps)
    parsed: list[dict[str, Any]] = []
    problems: dict[str, Any] = {}
    seen = dict(scope.steps)
    for place, step in enumerate(steps):
        try:
            _refuse_taken_id(step, ids[:place], scope)
            parsed.append(_parse_step(place, step, replace(scope, steps=dict(seen), later=ids[place + 1 :])))
        except ValidationError as error:
            problems[str(place)] = error.detail
        seen[ids[place]] = _fields_of(step)
    if problems:
        raise ValidationError(problems)
    return parsed


def _parse_step(place: int, step: object, scope: Scope) -> dict[str, Any]:
    if not isinstance(step, Mapping):
        raise ValidationError({"step": ["expected an object with a type"]})
    kind = step.get("type")
    step_type = STEP_TYPES.get(kind) if isinstance(kind, str) else None
    if step_type is None:
        raise ValidationError({"type": [f"expected one of: {', '.join(STEP_TYPES)}"]})
    serializer = step_type.fields(data=_without_spare(step, step_type), context={"scope": scope})
    serializer.is_valid(raise_exception=True)
    values = {name: _plain(value) for name, value in serializer.validated_data.items()}
    return {"name": f"{step_type.name}-{place + 1}", **values, "type": step_type.name}


def _without_spare(step: Mapping[str, Any], step_type: StepType) -> dict[str, Any]:
    own = step_type.fields().fields
    return {
        name: value
        for name, value in step.items()
        if name in own or not isinstance(value, str | None) or value not in SPARE.get(name, ())
    }


def _refuse_taken_id(step: object, before: Sequence[str], scope: Scope) -> None:
    if isinstance(step, Mapping) and isinstance(step.get("id"), str) and step["id"] in {*before, *scope.steps}:
        raise ValidationError({"id": ["another step has this id"]})


def _fields_of(step: object) -> frozenset[str]:
    """The fields of `steps.<id>` that can be asked for: what every step has, and what its type adds."""
    kind = text_of(step, "type")
    return STEP_FIELDS.union(STEP_TYPES[kind].trace_fields if kind in STEP_TYPES else ())


def _parse_inputs(inputs: object) -> dict[str, Any]:
    def one(value: Any) -> Any:
        serializer = InputSerializer(data=value)
        serializer.is_valid(raise_exception=True)
        return {name: _plain(item) for name, item in serializer.validated_data.items()}

    return _named("inputs", inputs, InputNameField(), MAX_INPUTS, one, "an object of inputs by their names")


def _parse_outputs(outputs: object, scope: Scope) -> dict[str, Any]:
    def one(value: Any) -> Any:
        serializer = _OutputSerializer(data={"output": value}, context={"scope": scope})
        if not serializer.is_valid():
            raise ValidationError(serializer.errors["output"])
        return serializer.validated_data["output"]

    return _named("outputs", outputs, IdentifierField(), MAX_OUTPUTS, one, "an object of outputs by their names")


def _named(field: str, values: object, names: PatternField, max_count: int, one: Any, expected: str) -> dict[str, Any]:
    """An object of which `one` reads each member. Raises InvalidInputError that names each faulty member."""
    if not isinstance(values, Mapping):
        raise InvalidInputError.of(field, f"expected {expected}")
    if len(values) > max_count:
        raise InvalidInputError.of(field, f"expected at most {max_count}")
    parsed: dict[str, Any] = {}
    problems: dict[str, Any] = {}
    for name, value in values.items():
        try:
            names.run_validation(name)
            if name in RESERVED:
                raise ValidationError([f"expected another name: {name} stands for something else"])
            parsed[name] = one(value)
        except ValidationError as error:
            problems[str(name)] = error.detail
    if problems:
        name, detail = next(iter(problems.items()))
        raise InvalidInputError(f"{field}.{name}: {first_sentence(detail)}", fields={field: as_json(problems)})
    return parsed


# --- what was stored --------------------------------------------------------------------------------------------


def _load_steps(stored: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(_load_step(own, step) for own, step in zip(step_ids(stored), stored, strict=True))


def _load_step(own: str, stored: Mapping[str, Any]) -> Step:
    retry, on_error = stored.get("retry"), stored.get("on_error", "fail")
    return Step(
        id=own,
        name=stored["name"],
        type=stored["type"],
        fields=stored,
        input=stored.get("input"),
        when=stored.get("when"),
        retry=retry and Retry(max=retry["max"], backoff=retry.get("backoff", 1), on=frozenset(retry.get("on", ()))),
        timeout=stored.get("timeout"),
        on_error="goto" if isinstance(on_error, Mapping) else on_error,
        target=on_error["goto"] if isinstance(on_error, Mapping) else "",
        steps=_load_steps(stored.get("steps", ())),
    )


def _walk_loaded(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        yield step
        yield from _walk_loaded(step.steps)


def _plain(value: Any) -> Any:
    """What serializers made, as plain objects and lists."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"
