"""The secrets in stored steps, found by the fields that the types of steps declare as secret."""

from collections.abc import Iterable, Mapping
from typing import Any

from workflows.language.structure import walk
from workflows.steps import STEP_TYPES
from workflows.steps.fields import secret as fields


def masked(step: Mapping[str, Any]) -> dict[str, Any]:
    """A stored step for people, with the steps inside it: each secret is its mask."""
    shown = fields.masked(STEP_TYPES[step["type"]].fields, step)
    if "steps" in step:
        shown["steps"] = [masked(inner) for inner in step["steps"]]
    return shown


def by_id(steps: Iterable[Mapping[str, Any]]) -> dict[str, fields.Secret]:
    """The secrets of stored steps and of those inside them, by the ids in their masks."""
    return {
        fields.id_of(secret): secret
        for step in walk(list(steps))
        for secret in fields.secrets_of(STEP_TYPES[step["type"]].fields, step)
    }
