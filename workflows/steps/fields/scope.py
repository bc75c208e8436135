"""What a step can see, which is what its references may name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework import serializers

from agents.runtime.schemas import Allowance
from workflows.language.names import reference_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is known at the place of one step while a definition is checked.

    `steps` are the steps before it, each with the fields that can be asked for; `later` are the ids of the steps after
    it in its own list, where it may go on; `inputs` are the declared ones. `nesting` counts the steps that it is inside
    of. `parse_steps` reads the steps inside it. `secrets` are the stored secrets that it may keep, by their ids;
    `schemas` is what its JSON Schemas may cost.
    """

    steps: Mapping[str, frozenset[str]] = field(default_factory=dict)
    later: Sequence[str] = ()
    inputs: frozenset[str] = frozenset()
    nesting: int = 0
    parse_steps: Callable[[object, "Scope"], list[dict[str, Any]]] | None = None
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schemas: Allowance = field(default_factory=Allowance)

    def problem(self, name: str) -> str | None:
        """What is wrong with a reference by a dotted name; None if nothing is."""
        return reference_problem(name, steps=self.steps, inputs=self.inputs)

    def inside(self) -> "Scope":
        """What the first step inside this step can see."""
        return replace(self, nesting=self.nesting + 1, later=())


class Referring:
    """A field that refers to something, which it looks up in the serializer's `scope`."""

    context: Mapping[str, Any]

    @property
    def scope(self) -> Scope | None:
        """None where references are not checked, as when a schema is made."""
        return self.context.get("scope")

    def check_names(self, names: Sequence[str]) -> None:
        """Raise ValidationError for references to what is not there."""
        problems = [problem for name in names if self.scope and (problem := self.scope.problem(name))]
        if problems:
            raise serializers.ValidationError(list(dict.fromkeys(problems))[:5])
