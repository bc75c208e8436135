"""The journal of a run in the database: what a step made is on the disk before the run goes on.

Every write names the claim by which this process has the run. When another one claimed it meanwhile, or somebody
cancelled it, nothing is written and the run ends here.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.db.models import Max
from django.utils import timezone

from agents.transport import bridge
from governance.core.db import AWAY
from workflows.engine import wakeups
from workflows.language.structure import Step
from workflows.models import AttemptState, RunState, StepAttempt, WorkflowRun
from workflows.steps.journal import Attempt, Decision, Done, MemoryJournal, Stopped, cost_of

logger = logging.getLogger("promptops.workflows")

#: Types of steps at which a run is parked.
PARKING = {"approval", "wait"}
#: Seconds between tries to write while the database is away; after the last one the run is left for later.
PATIENCE = (0.1, 0.3, 1.0, 2.0, 4.0)


class LostClaimError(Stopped):
    """The run is somebody else's by now, or it is over."""


class ReleasedError(Stopped):
    """This process is about to end: the run goes on in another, with the step that was to begin."""


class RunJournal(MemoryJournal):
    """What the interpreter remembers. In memory alone, until `tie` or `load` ties it to the run's rows."""

    def __init__(self, *, leaving: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.run_id: uuid.UUID | None = None
        self.claim = 0
        self._leaving = leaving
        self._offsets: dict[str, int] = {}  # attempts that a resume made void: they count no more, but have numbers
        self._tied = asyncio.Lock()

    def load(self, run_id: uuid.UUID, claim: int) -> None:
        """Take up what the rows say that was done in earlier lives."""
        self.run_id, self.claim = run_id, claim
        rows = StepAttempt.objects.filter(run_id=run_id)
        void = rows.filter(superseded=True).values("path").annotate(last=Max("number")).order_by()
        self._offsets = {row["path"]: row["last"] for row in void}
        for row in rows.filter(superseded=False).order_by("id"):
            number = max(0, row.number - self._offsets.get(row.path, 0))
            latest = attempt_of(row, number)
            self.entries.append(latest)
            self._latest[row.path] = latest
            if row.due_at is not None:
                self._due[row.path] = row.due_at
            if row.kept is not None:
                self._kept[row.path] = row.kept["value"]
            if row.status in (AttemptState.SUCCEEDED, AttemptState.SKIPPED) or row.failed_over:
                self._done[row.path] = latest.done = Done(
                    output=row.output,
                    trace=row.trace or {},
                    skipped=row.status == AttemptState.SKIPPED,
                    error=row.error if row.failed_over else None,
                )

    async def tie(self, run_id: uuid.UUID, claim: int, write: Callable[[list[Attempt]], None]) -> None:
        """From here on in the database: `write` is given what was done so far, on the thread that waits."""
        async with self._tied:
            await bridge.on_caller(write, list(self.entries))
            self.run_id, self.claim = run_id, claim

    async def begin(self, path: str, step: Step, number: int, given: Any) -> None:
        if self._leaving():
            raise ReleasedError
        async with self._tied:
            known = self._latest.get(path)
            await super().begin(path, step, number, given)
            if self.run_id is not None and (known is None or known.number < number):
                await self._write(_begin, self._latest[path], self._stored(path, number))

    async def end(self, path: str, number: int, done: Done) -> None:
        async with self._tied:
            await super().end(path, number, done)
            if self.run_id is not None:
                await self._write(_end, path, self._stored(path, number), done)

    async def skip(self, path: str, step: Step) -> None:
        async with self._tied:
            await super().skip(path, step)
            if self.run_id is not None:
                await self._write(_begin, self.entries[-1], 0)

    async def fail(self, path: str, number: int, error: str, *, again: bool) -> None:
        async with self._tied:
            await super().fail(path, number, error, again=again)
            if self.run_id is not None:
                await self._write(_fail, path, self._stored(path, number), error)

    async def decision(self, path: str) -> Decision | None:
        if self.run_id is None:
            return None
        found: Decision | None = await self._write(_decision, path)
        return found

    async def due(self, path: str, seconds: float) -> datetime:
        async with self._tied:
            known = path in self._due
            moment = await super().due(path, seconds)
            if not known and self.run_id is not None:
                await self._write(_due, path, moment)
            return moment

    async def keep(self, path: str, value: Any) -> Any:
        async with self._tied:
            known = path in self._kept
            kept = await super().keep(path, value)
            if not known and self.run_id is not None:
                await self._write(_keep, path, kept)
            return kept

    def _stored(self, path: str, number: int) -> int:
        return number + self._offsets.get(path, 0) if number else 0

    async def _write(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do it in a transaction that holds the claim. A database that is away is waited for, for some seconds."""
        for pause in PATIENCE:
            try:
                return await bridge.on_caller(_in_turn, work, self.run_id, self.claim, *args)
            except AWAY as error:
                logger.warning("run %s: could not keep a step, trying again: %s", self.run_id, error)
                await asyncio.sleep(pause)
        return await bridge.on_caller(_in_turn, work, self.run_id, self.claim, *args)


def _in_turn(work: Callable[..., Any], run_id: uuid.UUID, claim: int, *args: Any) -> Any:
    """On the thread that waits, which gives its connection back."""
    try:
        with transaction.atomic():
            hold(run_id, claim)
            result = work(run_id, *args)
        wakeups.give(run_id)
        return result
    except (DatabaseError, InterfaceError):
        if not connection.in_atomic_block:
            connection.close()
        raise
    finally:
        if not connection.in_atomic_block:
            close_old_connections()


def hold(run_id: uuid.UUID, claim: int, **values: Any) -> None:
    """Make sure, until the transaction ends, that the run is still this claim's. Raises LostClaimError."""
    mine = WorkflowRun.objects.filter(pk=run_id, claim=claim, status=RunState.RUNNING)
    if not mine.update(changed_at=timezone.now(), **values):
        raise LostClaimError


def attempt_of(row: StepAttempt, number: int) -> Attempt:
    step = Step(id=row.step_id, name=row.name, type=row.type, fields={})
    return Attempt(
        path=row.path,
        step=step,
        number=number,
        given=row.input,
        started=row.started_at,
        ended=row.ended_at,
        error=row.error,
    )


def row_of(run_id: uuid.UUID, attempt: Attempt, number: int) -> StepAttempt:
    """An attempt as it is stored, as far as it got."""
    row = StepAttempt(
        run_id=run_id,
        path=attempt.path,
        step_id=attempt.step.id,
        name=attempt.step.name,
        type=attempt.step.type,
        number=number,
        input=attempt.given,
        due_at=attempt.due,
        kept=attempt.kept,
        started_at=attempt.started,
        ended_at=attempt.ended,
        changed_at=timezone.now(),
    )
    if attempt.done is not None:
        _set_done(row, attempt.done)
    elif attempt.ended is not None:
        row.status, row.error = AttemptState.FAILED, attempt.error
    elif attempt.step.type in PARKING:
        row.status = AttemptState.WAITING
    return row


def _begin(run_id: uuid.UUID, attempt: Attempt, number: int) -> None:
    row_of(run_id, attempt, number).save(force_insert=True)


def _row(run_id: uuid.UUID, path: str, number: int) -> StepAttempt:
    return StepAttempt.objects.get(run_id=run_id, path=path, number=number)


_DONE = ("output", "trace", "error", "status", "failed_over", "prompt_tokens", "output_tokens", "cost_usd")


def _set_done(row: StepAttempt, done: Done) -> None:
    row.output, row.trace, row.error = done.output, dict(done.trace) or None, done.error
    row.failed_over = done.error is not None
    row.status = AttemptState.FAILED if row.failed_over else AttemptState.SUCCEEDED
    if done.skipped:
        row.status = AttemptState.SKIPPED
    row.prompt_tokens = done.trace.get("prompt_tokens")
    row.output_tokens = done.trace.get("output_tokens")
    row.cost_usd = cost_of(done.trace)


def _end(run_id: uuid.UUID, path: str, number: int, done: Done) -> None:
    row = StepAttempt(run_id=run_id)
    _set_done(row, done)
    now = timezone.now()
    values = {name: getattr(row, name) for name in _DONE}
    ours = StepAttempt.objects.filter(run_id=run_id, path=path, number=number)
    ours.update(**values, ended_at=now, changed_at=now)
    WorkflowRun.objects.filter(pk=run_id, deaths__gt=0).update(deaths=0)  # it got on


def _fail(run_id: uuid.UUID, path: str, number: int, error: str) -> None:
    now = timezone.now()
    StepAttempt.objects.filter(run_id=run_id, path=path, number=number).update(
        status=AttemptState.FAILED, error=error, ended_at=now, changed_at=now
    )


def _decision(run_id: uuid.UUID, path: str) -> Decision | None:
    decided = StepAttempt.objects.filter(run_id=run_id, path=path, superseded=False, decision__isnull=False)
    said = decided.values_list("decision", flat=True).last()
    return Decision(approved=said["approved"], by=said["by"], comment=said["comment"]) if said else None


def _due(run_id: uuid.UUID, path: str, moment: datetime) -> None:
    StepAttempt.objects.filter(run_id=run_id, path=path, superseded=False, ended_at=None).update(due_at=moment)


def _keep(run_id: uuid.UUID, path: str, value: Any) -> None:
    StepAttempt.objects.filter(run_id=run_id, path=path, superseded=False, ended_at=None).update(kept={"value": value})
