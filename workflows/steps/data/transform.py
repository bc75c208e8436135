"""Change the input without a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.runtime import json_answers
from governance.api.fields import StringField
from prompts.content.rendering import as_text
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, Shape, StepFailedError, StepSerializer, StepType, kind_of
from workflows.steps.fields.plain import ChoiceField, WholeField

MAX_TEXT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One `op`: `run` gets the input, which has to be of the type `of` (None: any), and fields of the step.

    The fields in `needs` are required, those in `takes` are optional.
    """

    run: Callable[..., Any]
    of: type | None = str
    needs: Sequence[str] = ()
    takes: Sequence[str] = ()


def _json_parse(text: str) -> Any:
    try:
        return json_answers.read(text, called="the input")
    except ValueError as error:
        raise StepFailedError(str(error)) from None


def _json_format(value: Any, *, indent: int | None = None) -> str:
    return as_text(value) if indent is None else json.dumps(value, indent=indent, ensure_ascii=False)


def _replace(text: str, *, find: str, replacement: str = "") -> str:
    if text.count(find) * len(replacement) > MAX_TEXT:
        raise StepFailedError("it would make too long a text")
    return text.replace(find, replacement)


def _split(text: str, *, separator: str, limit: int | None = None) -> list[str]:
    return text.split(separator, -1 if limit is None else limit - 1)


def _join(items: list[Any], *, separator: str = "") -> str:
    if len(items) * len(separator) > MAX_TEXT:
        raise StepFailedError("it would make too long a text")
    return separator.join(map(as_text, items))


def _truncate(text: str, *, length: int, ellipsis: str = "") -> str:
    if len(text) <= length:
        return text
    return text[: max(0, length - len(ellipsis))] + ellipsis[:length]


def _unique(items: list[Any]) -> list[Any]:
    return list({json.dumps(item, sort_keys=True): item for item in items}.values())


OPERATIONS: dict[str, Operation] = {
    "upper": Operation(run=str.upper),
    "lower": Operation(run=str.lower),
    "trim": Operation(run=str.strip),
    "title": Operation(run=str.title),
    "capitalize": Operation(run=str.capitalize),
    "json_parse": Operation(run=_json_parse),
    "json_format": Operation(run=_json_format, of=None, takes=("indent",)),
    "replace": Operation(run=_replace, needs=("find",), takes=("replacement",)),
    "split": Operation(run=_split, needs=("separator",), takes=("limit",)),
    "lines": Operation(run=str.splitlines),
    "join": Operation(run=_join, of=list, takes=("separator",)),
    "truncate": Operation(run=_truncate, needs=("length",), takes=("ellipsis",)),
    "unique": Operation(run=_unique, of=list),
    "length": Operation(run=len, of=None),
}
_ARGUMENTS = ("find", "replacement", "separator", "limit", "length", "ellipsis", "indent")
_NAMES: dict[type | None, str] = {None: "a text, a list or an object", str: "a text", list: "a list"}


def _shape(op: str, operation: Operation) -> Shape:
    others = [name for name in _ARGUMENTS if name not in {*operation.needs, *operation.takes}]
    return Shape(only={"op": (op,)}, required=operation.needs, without=others)


class TransformStep(StepSerializer):
    shapes = [_shape(op, operation) for op, operation in OPERATIONS.items()]

    op = ChoiceField(list(OPERATIONS), style={"title": "Operation"})
    find = StringField(required=False, max_length=1000, help_text="replace: the text that is replaced, as it is.")
    replacement = StringField(required=False, allow_blank=True, max_length=10_000)
    separator = StringField(required=False, allow_blank=False, max_length=1000, help_text="split, join")
    limit = WholeField(required=False, min_value=1, max_value=10_000, help_text="split: the most parts.")
    length = WholeField(required=False, min_value=1, max_value=MAX_TEXT, help_text="truncate: characters that stay.")
    ellipsis = StringField(required=False, max_length=100, help_text="truncate: what shows that something is gone.")
    indent = WholeField(required=False, min_value=0, max_value=8, help_text="json_format: spaces a level.")


async def run(step: Step, context: Context) -> Outcome:
    return Outcome(output=_apply(step.fields, context.input), trace={"op": step["op"]})


def _apply(step: Mapping[str, Any], value: Any) -> Any:
    operation = OPERATIONS[step["op"]]
    wanted = operation.of or (str | list | dict if step["op"] == "length" else object)
    if operation.of is str and not isinstance(value, str) and step["op"] != "json_parse":
        value = as_text(value)
    if not isinstance(value, wanted):
        raise StepFailedError(f"{step['op']}: expected {_NAMES[operation.of]}, not {kind_of(value)}")
    arguments = {name: step[name] for name in (*operation.needs, *operation.takes) if name in step}
    return operation.run(value, **arguments)


STEP = StepType(
    name="transform", summary="Change the input without a model.", fields=TransformStep, run=run, trace_fields=("op",)
)
