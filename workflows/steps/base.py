"""What a type of step is: its name, its fields, and what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rest_framework import serializers

from governance.actors import Actor
from governance.api.fields import StringField
from governance.api.serializers import ApiSerializer
from governance.errors import DomainError


class StepFailedError(DomainError):
    """A step can't do its work, and what the run was given is not at fault."""

    status = 502
    code = "step_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a step works with. `input` is the output of the step before it; templates see it as `{{input}}`."""

    actor: Actor
    workspace_id: str
    input: str
    variables: Mapping[str, Any]
    strict: bool
    unit: str | None

    @property
    def names(self) -> dict[str, Any]:
        return {**self.variables, "input": self.input}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step made. `trace` goes into the run's trace beside the output."""

    output: str
    trace: dict[str, Any] = field(default_factory=dict)


class StepSerializer(ApiSerializer):
    """The fields that every step has."""

    name = StringField(required=False, max_length=200)
    type = serializers.CharField()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """`fields` checks a step when its workflow is saved; `run` does it, and raises a DomainError when it can't."""

    name: str
    fields: type[StepSerializer]
    run: Callable[[Mapping[str, Any], Context], Outcome]
