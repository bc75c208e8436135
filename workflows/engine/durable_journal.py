"""The journal of a run in the database.

What is recorded is written in batches, each in one transaction that confirms the lease. The end of a step and the
beginning of the next one come at the same moment and make one batch. A step begins only when everything before it is
durable: so what a step did is never done again once another one has begun.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction
from django.db.models import Max
from django.utils import timezone

from agents.transport import bridge
from governance.core.db import AWAY, conflict_of, let_go
from workflows.engine import wakeups
from workflows.engine.leases import Lease
from workflows.language.structure import Step
from workflows.models import AttemptState, StepAttempt, WorkflowRun
from workflows.models.run import EncodedJSON
from workflows.steps import STEP_TYPES
from workflows.steps.journal import Attempt, Decision, Done, MemoryJournal, Stopped, cost_of

logger = logging.getLogger("promptops.workflows")

T = TypeVar("T")
Write = Callable[[], None]

#: Seconds between tries to write while the database is away; after the last one the run is left for later.
PATIENCE = (0.1, 0.3, 1.0, 2.0, 4.0)


class ReleasedError(Stopped):
    """This process is about to end: the run goes on in another, with the step that was to begin."""


class DurableJournal(MemoryJournal):
    """A journal for as long as the lease holds. Its methods raise LeaseLostError after that, sooner or later.

    `is_stopping`: whether this process is about to end, so that no further step begins here. `has_crashed`: whether
    processes died since the last step that ended, which the next one that ends makes good.
    """

    def __init__(self, lease: Lease, *, is_stopping: Callable[[], bool], has_crashed: bool) -> None:
        super().__init__()
        self.lease = lease
        self._has_crashed = has_crashed
        self._is_stopping = is_stopping
        self._offsets: dict[str, int] = {}  # attempts that a resume made void: they count no more, but have numbers
        self._pending: list[Write] = []
        self._next: asyncio.Task[None] | None = None  # the batch that has not begun yet
        self._one_at_a_time = asyncio.Lock()
        self._failure: BaseException | None = None
        self._closed = False

    def load(self) -> None:
        """Read what was done in earlier segments."""
        rows = StepAttempt.objects.filter(run_id=self.lease.run_id)
        void = rows.filter(superseded=True).values("path").annotate(last=Max("number")).order_by()
        self._offsets = {row["path"]: row["last"] for row in void}
        for row in rows.filter(superseded=False).order_by("id"):
            attempt = _attempt_of(row, max(0, row.number - self._offsets.get(row.path, 0)))
            self.entries.append(attempt)
            self._latest[row.path] = attempt
            if row.due_at is not None:
                self._due[row.path] = row.due_at
            if row.memo is not None:
                self._memos[row.path] = row.memo["value"]
            if row.status in (AttemptState.SUCCEEDED, AttemptState.SKIPPED) or row.failed_over:
                self._done[row.path] = attempt.done = Done(
                    output=row.output,
                    trace=row.trace or {},
                    skipped=row.status == AttemptState.SKIPPED,
                    error=row.error if row.failed_over else None,
                )

    # --- what the interpreter records ---

    async def begin(self, path: str, step: Step, number: int, step_input: Any) -> None:
        if self._is_stopping():
            raise ReleasedError
        known = self._latest.get(path)
        await super().begin(path, step, number, step_input)
        if known is None or known.number < number:
            self._add(partial(_insert, self._columns(self._latest[path], number)))
        await self._flush()

    async def end(self, path: str, number: int, done: Done) -> None:
        values = _values_of(done)  # raises for what can't be stored, before it counts as done
        await super().end(path, number, done)
        self._add(partial(_update, self._attempts(path, number), **values, ended_at=timezone.now()))
        if self._has_crashed:
            self._has_crashed = False
            self._add(partial(_update, WorkflowRun.objects.filter(pk=self.lease.run_id), crash_count=0))

    async def skip(self, path: str, step: Step) -> None:
        await super().skip(path, step)
        attempt = self.entries[-1]
        columns = self._columns(attempt, 0) | {"status": AttemptState.SKIPPED, "ended_at": attempt.ended}
        self._add(partial(_insert, columns))

    async def fail(self, path: str, number: int, error: str, *, again: bool) -> None:
        await super().fail(path, number, error, again=again)
        values = {"status": AttemptState.FAILED, "error": error, "ended_at": timezone.now()}
        self._add(partial(_update, self._attempts(path, number), **values))

    async def decision(self, path: str) -> Decision | None:
        rows = StepAttempt.objects.filter(run_id=self.lease.run_id, path=path, superseded=False)
        decided = rows.filter(decision__isnull=False).values_list("decision", flat=True)
        found = await _patiently(decided.last)
        return Decision(**{name: found[name] for name in ("approved", "by", "comment")}) if found else None

    async def due(self, path: str, seconds: float) -> datetime:
        is_known = path in self._due
        moment = await super().due(path, seconds)
        if not is_known:
            self._add(partial(_update, self._open_attempts(path), due_at=moment))
            await self._flush()
        return moment

    async def memoize(self, path: str, value: Any) -> Any:
        is_known = path in self._memos
        memo = await super().memoize(path, value)
        if not is_known:
            self._add(partial(_update, self._open_attempts(path), memo={"value": memo}))
            await self._flush()
        return memo

    # --- how it is written ---

    async def close(self) -> Write:
        """Nothing is recorded any more. Returns what is left to be written, for the transaction that ends the segment.

        Raises what kept an earlier batch from being written.
        """
        self._closed = True
        async with self._one_at_a_time:  # a batch under way is written
            pass
        if self._failure is not None:
            raise self._failure
        return self._take()

    def _add(self, write: Write) -> None:
        """Have it written with the next batch, which begins as soon as the interpreter waits for something."""
        if self._failure is not None:
            raise self._failure
        self._pending.append(write)
        self._next_batch()

    def _next_batch(self) -> asyncio.Task[None]:
        if self._next is None:
            self._next = asyncio.create_task(self._write_batch())
            self._next.add_done_callback(self._note_failure)
        return self._next

    async def _flush(self) -> None:
        """Wait until everything that was added is durable. When the waiting step is stopped, it is written all the
        same: others may wait for the same batch."""
        await asyncio.shield(self._next_batch())

    async def _write_batch(self) -> None:
        async with self._one_at_a_time:  # meanwhile the next batch fills
            self._next = None
            if self._failure is not None:
                raise self._failure
            if not self._closed and self._pending:
                await _patiently(_writing(self.lease, self._take()))

    def _take(self) -> Write:
        writes, self._pending = self._pending, []

        def write_all() -> None:
            for write in writes:
                write()

        return write_all

    def _note_failure(self, batch: "asyncio.Task[None]") -> None:
        if not batch.cancelled():
            self._failure = self._failure or batch.exception()

    # --- rows ---

    def _attempts(self, path: str, number: int) -> Any:
        return StepAttempt.objects.filter(run_id=self.lease.run_id, path=path, number=self._number(path, number))

    def _open_attempts(self, path: str) -> Any:
        return StepAttempt.objects.filter(run_id=self.lease.run_id, path=path, superseded=False, ended_at=None)

    def _number(self, path: str, number: int) -> int:
        """The number that an attempt has in its row: those that a resume made void keep theirs."""
        return number + self._offsets.get(path, 0)

    def _columns(self, attempt: Attempt, number: int) -> dict[str, Any]:
        """What is stored of an attempt that begins; number 0 is one that was skipped."""
        step = attempt.step
        return {
            "run_id": self.lease.run_id,
            "path": attempt.path,
            "step_id": step.id,
            "name": step.name,
            "type": step.type,
            "number": self._number(attempt.path, number) if number else 0,
            "status": AttemptState.WAITING if STEP_TYPES[step.type].waits else AttemptState.RUNNING,
            "input": EncodedJSON.of(attempt.input),
            "started_at": attempt.started,
        }


async def _patiently(work: Callable[..., T], *args: Any) -> T:
    """Do it on the thread that waits for the run. A database that is away is waited for, for some seconds."""
    for pause in PATIENCE:
        try:
            return await bridge.on_caller(_briefly, work, *args)
        except AWAY as error:
            logger.warning("could not record a step, trying again: %s", error)
            await asyncio.sleep(pause)
    return await bridge.on_caller(_briefly, work, *args)


def _briefly(work: Callable[..., T], *args: Any) -> T:
    try:
        return work(*args)
    except (DatabaseError, InterfaceError):
        if not connection.in_atomic_block:
            connection.close()
        raise
    finally:
        let_go()


def _write(lease: Lease, write: Write) -> None:
    with transaction.atomic():
        lease.confirm()
        write()
    wakeups.notify(lease.run_id)


def _writing(lease: Lease, write: Write) -> Write:
    """Writes a batch; to be called again when the connection was lost, which may have been after its commit."""
    tries = 0

    def write_batch() -> None:
        nonlocal tries
        tries += 1
        try:
            _write(lease, write)
        except IntegrityError as error:
            if tries == 1 or conflict_of(error) != "taken":
                raise
            wakeups.notify(lease.run_id)  # its attempts are there: all of it was committed by an earlier try

    return write_batch


def _insert(columns: dict[str, Any]) -> None:
    StepAttempt.objects.create(**columns, changed_at=timezone.now())


def _update(rows: Any, **values: Any) -> None:
    rows.update(changed_at=timezone.now(), **values)


def _values_of(done: Done) -> dict[str, Any]:
    """The columns of an attempt that ended. Raises TypeError, ValueError or RecursionError for what can't be stored."""
    failed_over = done.error is not None
    count = StepAttempt.prompt_tokens.field.get_prep_value
    return {
        "output": EncodedJSON.of(done.output),
        "trace": EncodedJSON.of(dict(done.trace) or None),
        "error": done.error,
        "failed_over": failed_over,
        "status": AttemptState.FAILED if failed_over else AttemptState.SUCCEEDED,
        "prompt_tokens": count(done.trace.get("prompt_tokens")),
        "output_tokens": count(done.trace.get("output_tokens")),
        "cost_usd": cost_of(done.trace),
    }


def _attempt_of(row: StepAttempt, number: int) -> Attempt:
    return Attempt(
        path=row.path,
        step=Step(id=row.step_id, name=row.name, type=row.type, fields={}),
        number=number,
        input=row.input,
        started=row.started_at,
        ended=row.ended_at,
        error=row.error,
    )
