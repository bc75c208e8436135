"""What a definition consists of, once it has been read (workflows.definition.parsing reads it). Pure data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: The target that ends a run; no step can have this id.
END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed step is repeated: at most `max` times, after errors with a code in `on` (any, if empty).

    The first pause is `backoff` seconds, and each next one twice as long.
    """

    max: int
    backoff: float = 1.0
    on: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `fields` is all of it as it is stored; what follows is what the interpreter reads out of that.

    `input` is a path to what the step works on, None for what the step before it made. `timeout` is in seconds, for
    one attempt. `target` is the id of the step where a run goes on after an error when `on_error` is `goto`. `steps`
    are the steps inside, of the types that have some.
    """

    id: str
    name: str
    type: str
    fields: Mapping[str, Any]
    input: str | None = None
    when: Mapping[str, Any] | None = None
    retry: Retry | None = None
    timeout: float | None = None
    on_error: Literal["fail", "continue", "goto"] = "fail"
    target: str = ""
    steps: tuple["Step", ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A workflow's definition. `inputs` and `outputs` are as they are stored."""

    steps: tuple[Step, ...]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The definition as it is stored: `workflows.definition.parsing.load` makes this object of it again."""
        return {
            "inputs": dict(self.inputs),
            "steps": [dict(step.fields) for step in self.steps],
            "outputs": dict(self.outputs),
        }


def walk(stored: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each stored step, followed by those inside it."""
    for step in stored:
        yield step
        yield from walk(step.get("steps", ()))
