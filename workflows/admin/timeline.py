"""A run's attempts as people read them: in the order of the tree that they make, each with its bar."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from governance.runs.admin.formatting import duration, money, number
from prompts.content.rendering import TooLongError, render
from workflows.language.structure import walk
from workflows.models import StepAttempt, WorkflowRun

#: Attempts on one page, and characters of each text in it.
MOST, SHOWN = 400, 20_000
MAX_MESSAGE = 20_000

COLOURS = {
    "queued": "info",
    "running": "info",
    "waiting": "warn",
    "succeeded": "good",
    "failed": "bad",
    "interrupted": "warn",
    "cancelled": "",
    "skipped": "",
}
_TOKEN = re.compile(r"[^/\[\]]+|\[\d+\]")


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt. `begin` and `length` are percentages of the run's time, `depth` how far inside of others it is."""

    attempt: StepAttempt
    depth: int
    begin: float
    length: float

    @property
    def colour(self) -> str:
        return COLOURS.get(self.attempt.status, "")

    @property
    def place(self) -> str:
        """The items of maps that the attempt belongs to, to tell attempts of one step apart."""
        found = re.findall(r"\[(\d+)\]", self.attempt.path)
        return ", ".join(f"item {int(item) + 1}" for item in found)

    @property
    def took(self) -> str:
        attempt = self.attempt
        if attempt.number == 0:
            return ""
        return duration(((attempt.ended_at or timezone.now()) - attempt.started_at) / timedelta(milliseconds=1))

    @property
    def used(self) -> str:
        attempt = self.attempt
        if attempt.prompt_tokens is None and attempt.output_tokens is None:
            return ""
        tokens = f"{number(attempt.prompt_tokens)} / {number(attempt.output_tokens)}"
        return tokens if attempt.cost_usd is None else f"{tokens}, {money(attempt.cost_usd)}"

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The input, the output and the trace, as far as there are any."""
        attempt = self.attempt
        texts = [("Input", attempt.input), ("Output", attempt.output), ("Facts", attempt.trace or None)]
        return [(name, shown(value)) for name, value in texts if value is not None]


def shown(value: Any) -> str:
    """A value as text, of which no page gets too long."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\n… {len(text) - SHOWN:,} more characters"


def of(run: WorkflowRun, attempts: Sequence[StepAttempt]) -> list[Bar]:
    start = min([run.started_at or run.created_at, *(one.started_at for one in attempts)])
    end = max([run.ended_at or timezone.now(), *(one.ended_at for one in attempts if one.ended_at)])
    whole = max(end - start, timedelta(milliseconds=1))
    return [_bar(attempt, start, end, whole) for attempt in _in_order(attempts)]


def _bar(attempt: StepAttempt, start: datetime, end: datetime, whole: timedelta) -> Bar:
    begin = min(99.5, max(0.0, (attempt.started_at - start) / whole * 100))
    length = ((attempt.ended_at or end) - attempt.started_at) / whole * 100
    return Bar(attempt, min(attempt.path.count("/"), 6), round(begin, 2), round(min(100 - begin, max(0.5, length)), 2))


def _in_order(attempts: Sequence[StepAttempt]) -> list[StepAttempt]:
    """In the order of the tree: the steps inside a step follow it, even if others began in between."""
    first: dict[tuple[str, ...], int] = {}
    for attempt in attempts:
        for prefix in _prefixes(attempt.path):
            first.setdefault(prefix, attempt.pk)
    return sorted(attempts, key=lambda one: (tuple(first[prefix] for prefix in _prefixes(one.path)), one.pk))


def _prefixes(path: str) -> Iterator[tuple[str, ...]]:
    tokens = tuple(_TOKEN.findall(path))
    return (tokens[: length + 1] for length in range(len(tokens)))


def question(run: WorkflowRun, attempt: StepAttempt, attempts: Sequence[StepAttempt]) -> str:
    """The message of an approval, filled with the values that are known so far."""
    steps = (run.definition or {}).get("steps", [])
    template = next((step["message"] for step in walk(steps) if _is(step, attempt) and step.get("message")), "")
    variables: Mapping[str, Any] = run.variables or {}
    made = {one.step_id: {"output": one.output} for one in attempts if one.ended_at and not one.superseded}
    names = {**variables, "inputs": variables, "steps": made, "input": attempt.input}
    try:
        return render(template, names, limit=MAX_MESSAGE).text
    except TooLongError:
        return str(template)


def _is(step: Mapping[str, Any], attempt: StepAttempt) -> bool:
    return step.get("type") == attempt.type and (step.get("id") == attempt.step_id or step.get("name") == attempt.name)
