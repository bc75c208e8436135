"""The fields that steps have beside plain ones: what is checked here is checked when a workflow is saved.

A field that refers to something looks it up in the serializer's `scope`: what a step at that place can see.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework import serializers

from agents.runtime.schemas import Allowance
from governance.api.fields import ContentField, ObjectField, PatternField, StringField
from governance.api.serializers import ApiSerializer
from prompts.content.rendering import NAME, variables_of
from workflows.language import conditions, paths
from workflows.language.structure import END
from workflows.language.values import names_in

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
#: A variable's name as a declared input may have it: without dots, since it is what a dotted name begins with.
INPUT_NAME = "^" + NAME.replace("[^", "[^.", 1) + r"\Z"
MAX_STEPS = 50
#: Maps inside maps.
MAX_NESTING = 3
#: What can be asked of every step that came before.
ALWAYS_GIVEN = frozenset({"output", "error", "skipped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a step can see: `steps` before it with what can be asked of each, `later` ones of its own list that it can
    go on at, declared `inputs`. `secrets` are the stored ones that it may keep, `schemas` what its JSON Schemas may
    take."""

    steps: Mapping[str, frozenset[str]] = field(default_factory=dict)
    later: Sequence[str] = ()
    inputs: frozenset[str] = frozenset()
    nesting: int = 0
    parse_steps: Callable[[object, "Scope"], list[dict[str, Any]]] | None = None
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schemas: Allowance = field(default_factory=Allowance)

    def problem(self, name: str) -> str | None:
        """What is wrong with a reference by a dotted name; None for a variable, which each run brings along."""
        root, _, rest = name.partition(".")
        wanted, _, rest = rest.partition(".")
        if root == "inputs" and wanted and wanted not in self.inputs:
            return f"{name}: there is no input {wanted}{self._there(self.inputs)}"
        if root != "steps" or not wanted:
            return None
        if wanted not in self.steps:
            return f"{name}: there is no step {wanted} before this one{self._there(self.steps)}"
        asked, given = rest.partition(".")[0], self.steps[wanted]
        if asked and asked not in given:
            return f"{name}: a step gives {', '.join(sorted(given))}"
        return None

    def inside(self) -> "Scope":
        """What the first step inside a step can see."""
        return replace(self, nesting=self.nesting + 1, later=())

    @staticmethod
    def _there(names: Any) -> str:
        return f"; expected one of: {', '.join(sorted(names))}" if names else ""


class Referring:
    """What fields that refer to something share."""

    context: Mapping[str, Any]

    @property
    def scope(self) -> Scope | None:
        """None while nobody asks for references to be checked, as for a schema."""
        return self.context.get("scope")

    def check_names(self, names: Sequence[str]) -> None:
        problems = [problem for name in names if self.scope and (problem := self.scope.problem(name))]
        if problems:
            raise serializers.ValidationError(list(dict.fromkeys(problems))[:5])


class IdentifierField(PatternField):
    """An id by which other steps refer to a step, or the name of an output."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits and _ (first a letter or _)"
        super().__init__(IDENTIFIER, expected=expected, **{"max_length": 100, **kwargs})


class InputNameField(PatternField):
    """The name of an input: what can be a variable in a template."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "1 to 128 letters and digits of any script, _ and -"
        super().__init__(INPUT_NAME, expected=expected, **{"max_length": 128, **kwargs})


class StepIdField(IdentifierField):
    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if value == END:
            raise serializers.ValidationError(f"{END} is where a run goes that is to end; expected another id")
        return value


class TemplateField(Referring, ContentField):
    """A text with `{{ name }}` in it."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        self.check_names(variables_of(text))
        return text


class PathField(Referring, StringField):
    """A JMESPath expression over all that a step can see."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": paths.MAX_LENGTH, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        path = super().to_internal_value(data)
        try:
            names = paths.references(path)
        except paths.PathError as error:
            raise serializers.ValidationError(str(error)) from None
        self.check_names(names)
        return path


class ValuesField(Referring, ObjectField):
    """A JSON object whose strings are templates; one that is a single `{{ name }}` becomes that value itself."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        self.check_names(names_in(values))
        return values

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}


class JsonField(serializers.JSONField):
    """Any JSON value, as it is."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {}


class AnyValuesField(Referring, JsonField):
    """Any JSON value whose strings are templates."""

    def to_internal_value(self, data: Any) -> Any:
        self.check_names(names_in(data))
        return data


class WholeField(serializers.IntegerField):
    """A whole number; "3" is none, and true is none."""

    default_error_messages = {"invalid": "expected a whole number"}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.FloatField):
    """A number; "3" is none, and true is none."""

    default_error_messages = {"invalid": "expected a number"}

    def to_internal_value(self, data: Any) -> float | int:
        if type(data) not in (int, float):
            self.fail("invalid")
        super().to_internal_value(data)  # refuses what is no float, such as 10**400
        return data  # type: ignore[no-any-return]  # as it was sent


class ChoiceField(serializers.ChoiceField):
    """One of some words; the error lists them."""

    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        messages: dict[str, Any] = {"invalid_choice": f"expected one of: {', '.join(choices)}"}
        super().__init__(list(choices), error_messages=messages, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        value: str = super().to_internal_value(data)
        return value


class TargetField(Referring, StringField):
    """The id of a step where the run goes on: of the same list, and after this one, so that nothing can loop."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 100, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        target = super().to_internal_value(data)
        if self.scope and target != END and target not in self.scope.later:
            there = ", ".join([*self.scope.later, END])
            raise serializers.ValidationError(f"there is no step {target} after this one; expected one of: {there}")
        return target


class GotoSerializer(ApiSerializer):
    goto = TargetField()


class OnErrorField(serializers.Field[Any, Any, Any, Any]):
    """What a failure means for the run: `fail`, `continue`, or `{"goto": the id of a later step}`."""

    WORDS = ("fail", "continue")

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        goto = {"type": "string", "maxLength": 100, "minLength": 1, "description": "The id of a later step, or `end`."}
        jump = {"type": "object", "required": ["goto"], "additionalProperties": False, "properties": {"goto": goto}}
        return {"oneOf": [{"type": "string", "enum": list(self.WORDS)}, jump]}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and data in self.WORDS:
            return data
        if not isinstance(data, Mapping):
            raise serializers.ValidationError('expected fail, continue or {"goto": the id of a later step}')
        goto = GotoSerializer(data=data, context=self.context)
        goto.is_valid(raise_exception=True)
        return dict(goto.validated_data)

    def to_representation(self, value: Any) -> Any:
        return value


class ComparisonSerializer(ApiSerializer):
    """Something looked at, and perhaps compared with a value."""

    path = PathField(help_text="A JMESPath expression over all that the step can see.")
    op = ChoiceField([*conditions.COMPARISONS, *conditions.TESTS])
    value = JsonField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        alone = attrs["op"] in conditions.TESTS
        if alone and "value" in attrs:
            raise serializers.ValidationError({"value": [f"{attrs['op']} compares with nothing: expected no value"]})
        if not alone and "value" not in attrs:
            raise serializers.ValidationError({"value": ["required"]})
        return attrs


class ConditionField(serializers.Field[Any, Any, Any, Any]):
    """A structured condition: `{"path", "op", "value"}`, or `and`, `or` and `not` of such."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/WorkflowCondition"}

    def to_internal_value(self, data: Any) -> Any:
        left = [conditions.MAX_PARTS]
        return self._part(data, 1, left)

    def to_representation(self, value: Any) -> Any:
        return value

    def _part(self, data: Any, depth: int, left: list[int]) -> dict[str, Any]:
        left[0] -= 1
        if left[0] < 0 or depth > conditions.MAX_DEPTH:
            limits = f"{conditions.MAX_PARTS} parts and {conditions.MAX_DEPTH} levels"
            raise serializers.ValidationError(f"expected a condition of at most {limits}")
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("expected an object with path and op, or with and, or, not")
        joined = [name for name in ("and", "or", "not") if name in data]
        if not joined:
            comparison = ComparisonSerializer(data=data, context=self.context)
            comparison.is_valid(raise_exception=True)
            return dict(comparison.validated_data)
        if len(data) != 1:
            raise serializers.ValidationError(f"expected {joined[0]} alone in its object")
        name, parts = joined[0], data[joined[0]]
        if name == "not":
            return {"not": self._part(parts, depth + 1, left)}
        if not isinstance(parts, list) or not parts:
            raise serializers.ValidationError(f"{name}: expected a list of conditions")
        return {name: [self._part(part, depth + 1, left) for part in parts]}


class StepsField(Referring, serializers.Field[Any, Any, Any, Any]):
    """Steps inside a step."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        items = {"$ref": "#/components/schemas/WorkflowStep"}
        return {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": items}

    def to_internal_value(self, data: Any) -> Any:
        if self.scope is None or self.scope.parse_steps is None:
            return data
        if self.scope.nesting >= MAX_NESTING:
            raise serializers.ValidationError(f"expected steps inside of steps at most {MAX_NESTING} deep")
        return self.scope.parse_steps(data, self.scope.inside())

    def to_representation(self, value: Any) -> Any:
        return value


class HeadersField(Referring, serializers.DictField):
    """Headers of a request: names, and templates of their values."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=TemplateField(max_length=4000), **kwargs)

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "maxProperties": MAX_HEADERS, "additionalProperties": {"type": "string"}}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        headers = super().to_internal_value(data)
        check_header_names(headers)
        return headers


MAX_HEADERS = 50
_NAME_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
#: What the transport says by itself.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})


def check_header_names(headers: Mapping[str, Any]) -> None:
    """Raise ValidationError for names that no header has, and for those that the server sends by itself."""
    if len(headers) > MAX_HEADERS:
        raise serializers.ValidationError(f"expected at most {MAX_HEADERS} headers")
    problems: dict[str, list[str]] = {}
    for name in headers:
        if not name or not _NAME_CHARACTERS.issuperset(name.lower()) or len(name) > 200:
            problems[name] = ["expected the name of a header"]
        elif name.lower() in _OWN_HEADERS:
            problems[name] = ["the server sends this one by itself"]
    if problems:
        raise serializers.ValidationError(problems)


def walk(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each stored step, and those inside."""
    for step in steps:
        yield step
        yield from walk(step.get("steps", ()))
