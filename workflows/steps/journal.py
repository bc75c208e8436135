"""What the interpreter remembers of a run, so that the run can go on where it was.

The interpreter is deterministic given its journal: a run that lost its process goes on by being interpreted again from
the start, and whatever a step made in an earlier segment is taken from here and never made again.

A step's path is its id; inside a `map` it is `id[3]/inner`, inside a sub-workflow `id/inner`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from django.utils import timezone

from workflows.language.structure import Step

MAX_COST = 1_000_000  # dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a step. `output` is a JSON value; `trace` goes beside it into the run's trace: tokens, cost, ...

    `skipped`: its condition did not hold. `error`: it failed, and the run goes on all the same.
    """

    output: Any = None
    trace: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided about an approval."""

    approved: bool
    by: str
    comment: str = ""


class Stopped(Exception):  # noqa: N818  # nothing went wrong
    """This process stops working on the run, which is not over."""


class Parked(Stopped):
    """The run can't go on now: it waits for somebody's decision, or for a time. Interpret it again then.

    `until` is None when the decision may take as long as it likes. `trace` has what was done so far.
    """

    def __init__(self, path: str, *, reason: Literal["approval", "wait"], until: datetime | None = None) -> None:
        super().__init__(f"{path} waits: {reason}")
        self.path = path
        self.reason = reason
        self.until = until
        self.trace: list[dict[str, Any]] = []


class Journal(Protocol):
    """What one run asks for and records, in an order that is the same in each segment, but for the items of a `map`."""

    async def recall(self, path: str) -> Done | None:
        """What came of the step in this segment or an earlier one; None when it has not ended yet."""

    async def attempts(self, path: str) -> int:
        """How often the step was begun, over all segments."""

    async def begin(self, path: str, step: Step, number: int, step_input: Any) -> None:
        """Attempt `number` begins, on that input. What was recorded until here is durable before this returns.

        One that was begun already may begin again, and changes nothing: steps that were parked and steps with steps
        inside go on with the attempt that they were at.
        """

    async def skip(self, path: str, step: Step) -> None:
        """The step's condition does not hold: it is over without an attempt, and recalled as skipped."""

    async def end(self, path: str, number: int, done: Done) -> None:
        """The step ended. Raises for what can't be stored."""

    async def fail(self, path: str, number: int, error: str, *, again: bool) -> None:
        """The attempt failed. Unless it is made `again`, the run fails with it."""

    async def decision(self, path: str) -> Decision | None:
        """What somebody decided about the approval at `path`; None as long as nobody has."""

    async def memoize(self, path: str, value: Any) -> Any:
        """The first JSON value that was ever memoized for the step at `path`: what must be the same in each segment,
        such as the definition of a sub-workflow that may have been published anew meanwhile."""

    async def due(self, path: str, seconds: float) -> datetime:
        """When a wait of so many seconds at `path` is over: counted from when it was first asked for."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt at a step, as a trace shows it. `number` is 0 for a step that was skipped."""

    path: str
    step: Step
    number: int
    input: Any
    started: datetime
    ended: datetime | None = None
    done: Done | None = None
    error: str | None = None
    due: datetime | None = None
    memo: Any = None  # {"value": ...}, since the value may be null


def cost_of(trace: Mapping[str, Any]) -> Decimal | None:
    """What a step's models cost, in dollars; None when it is unknown, or more than the column can hold."""
    cost = trace.get("cost_usd")
    amount = Decimal("NaN") if cost is None else Decimal(str(cost))
    return amount if amount.is_finite() and abs(amount) < MAX_COST else None


class MemoryJournal:
    """The journal of a run that is stored nowhere: `entries` has its attempts, in the order they began."""

    def __init__(self) -> None:
        self.entries: list[Attempt] = []
        self._done: dict[str, Done] = {}
        self._latest: dict[str, Attempt] = {}
        self._memos: dict[str, Any] = {}
        self._due: dict[str, datetime] = {}

    async def recall(self, path: str) -> Done | None:
        return self._done.get(path)

    async def attempts(self, path: str) -> int:
        latest = self._latest.get(path)
        return latest.number if latest else 0

    async def begin(self, path: str, step: Step, number: int, step_input: Any) -> None:
        latest = self._latest.get(path)
        if latest is None or latest.number < number:
            self._latest[path] = Attempt(path=path, step=step, number=number, input=step_input, started=timezone.now())
            self.entries.append(self._latest[path])

    async def skip(self, path: str, step: Step) -> None:
        self._done[path] = done = Done(skipped=True)
        now = timezone.now()
        self.entries.append(Attempt(path=path, step=step, number=0, input=None, started=now, ended=now, done=done))

    async def end(self, path: str, number: int, done: Done) -> None:
        self._done[path] = done
        self._close(path, done.error).done = done

    async def fail(self, path: str, number: int, error: str, *, again: bool) -> None:
        self._close(path, error)

    async def decision(self, path: str) -> Decision | None:
        return None

    async def memoize(self, path: str, value: Any) -> Any:
        if path not in self._memos:
            self._memos[path] = value
            if path in self._latest:
                self._latest[path].memo = {"value": value}
        return self._memos[path]

    async def due(self, path: str, seconds: float) -> datetime:
        if path not in self._due:
            self._due[path] = timezone.now() + timedelta(seconds=seconds)
            if path in self._latest:
                self._latest[path].due = self._due[path]
        return self._due[path]

    def _close(self, path: str, error: str | None) -> Attempt:
        latest = self._latest[path]
        latest.ended, latest.error = timezone.now(), error
        return latest
