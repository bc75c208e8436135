"""Reads a workflow's steps and refuses what could not run. Pure: it asks no database."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError

from governance.errors import InvalidInputError
from workflows.steps import STEP_TYPES

MAX_STEPS = 50


def parse(steps: object) -> list[dict[str, Any]]:
    """The steps as they are stored: checked, with defaults filled in and every step named.

    Raises InvalidInputError; its `fields` name each faulty step by its place, counted from 0.
    """
    if not isinstance(steps, list):
        raise InvalidInputError.of("steps", "expected a list of steps")
    if not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidInputError.of("steps", f"expected 1 to {MAX_STEPS} steps")
    parsed: list[dict[str, Any]] = []
    problems: dict[str, Any] = {}
    for place, step in enumerate(steps):
        try:
            parsed.append(_parse_step(place, step))
        except ValidationError as error:
            problems[str(place)] = error.detail
    if problems:
        first, detail = next(iter(problems.items()))
        raise InvalidInputError(
            f"steps[{first}]{_name(steps[int(first)])}: {_sentence(detail)}", fields={"steps": problems}
        )
    return parsed


def _parse_step(place: int, step: object) -> dict[str, Any]:
    if not isinstance(step, Mapping):
        raise ValidationError({"step": ["expected an object with a type"]})
    kind = step.get("type")
    step_type = STEP_TYPES.get(kind) if isinstance(kind, str) else None
    if step_type is None:
        raise ValidationError({"type": [f"expected one of: {', '.join(STEP_TYPES)}"]})
    serializer = step_type.fields(data=step)
    serializer.is_valid(raise_exception=True)
    return {"name": f"{step_type.name}-{place + 1}", **serializer.validated_data, "type": step_type.name}


def _name(step: object) -> str:
    name = step.get("name") if isinstance(step, Mapping) else None
    return f" ({name})" if isinstance(name, str) and name else ""


def _sentence(detail: Any) -> str:
    field, problems = next(iter(detail.items()))
    return f"{field}: {problems[0] if isinstance(problems, list) else problems}"
