"""What validation found wrong with a definition, as sentences for people and as JSON for programs."""

from collections.abc import Mapping
from typing import Any


def sentence_of(steps: object, detail: Any) -> str:
    """The first problem with steps in one sentence that names its step: `steps[2] (name): field: problem`.

    `detail` is what ValidationError holds: problems of the whole list, or of each faulty step by its place.
    """
    if not isinstance(detail, Mapping):
        return f"steps: {first_sentence(detail)}"
    place, inner = next(iter(detail.items()))
    step = steps[int(place)] if isinstance(steps, list) else None
    field, problem = next(iter(inner.items()))
    sentence = f"{field}: {first_sentence(problem)}"
    if field == "steps" and isinstance(problem, Mapping) and isinstance(step, Mapping):
        sentence = sentence_of(step.get("steps"), problem)
    return f"steps[{place}]{_name_in_brackets(step)}: {sentence}"


def first_sentence(detail: Any) -> str:
    """The first problem in a nest of problems, with the names of the fields that lead to it."""
    while isinstance(detail, Mapping | list):
        if isinstance(detail, Mapping):
            name, detail = next(iter(detail.items()))
            if isinstance(detail, Mapping):
                return f"{name}: {first_sentence(detail)}"
            return f"{name}: {first_sentence(detail)}" if name != "non_field_errors" else first_sentence(detail)
        detail = next((item for item in detail if item), "invalid")
    return str(detail)


def as_json(detail: Any) -> Any:
    """A nest of problems as JSON."""
    if isinstance(detail, Mapping):
        return {str(name): as_json(inner) for name, inner in detail.items()}
    if isinstance(detail, list):
        return [as_json(item) for item in detail]
    return str(detail)


def _name_in_brackets(step: object) -> str:
    name = step.get("name") if isinstance(step, Mapping) else None
    return f" ({name})" if isinstance(name, str) and name else ""
