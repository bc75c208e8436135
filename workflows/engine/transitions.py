"""The states of a run, and every way from one to another. Nothing else writes the `status` of a run.

Each function is one transition: one transaction that checks its conditions, writes, and wakes who waits for it once it
is committed. Those of a process that executes a run are given the run as it leased it, and raise LeaseLostError when
another process has it by now or it is over; `writes`, what the journal has yet to write, is done in the same
transaction. Those of people are given a run that is locked.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from governance.core import processes
from governance.core.db import conflict_of
from governance.runs import log
from workflows.engine import wakeups
from workflows.engine.leases import Lease, LeaseLostError
from workflows.models import ACTIVE, AttemptState, RunState, StepAttempt, WorkflowRun
from workflows.steps import STEP_TYPES

#: The states that a run can come from, by the one that it comes into. New ones begin as `queued` or `running`.
ALLOWED: Mapping[RunState, tuple[RunState, ...]] = {
    RunState.QUEUED: tuple(RunState),  # from `queued`: offered anew; from the states where it was over: resumed
    RunState.RUNNING: (RunState.QUEUED,),
    RunState.WAITING: (RunState.RUNNING,),
    RunState.SUCCEEDED: (RunState.RUNNING,),
    RunState.FAILED: ACTIVE,
    RunState.CANCELLED: ACTIVE,
}

#: What a run in the queue is like, whichever way it came there: its next segment is to be offered.
_IN_QUEUE = {"segment": F("segment") + 1, "dispatched": False, "owner": None, "due_at": None, "waits_for": ""}

MAX_ERROR = 4000  # characters
MAX_COUNT = 2**31 - 1  # tokens: what the run log's columns hold
AT_ONCE = 200  # runs that one transaction wakes
#: Types of steps whose attempt goes on in the run's next segment; one of another type is interrupted and made again.
GO_ON = [name for name, step_type in STEP_TYPES.items() if step_type.is_resumable]

Writes = Callable[[], None]


class KeyTakenError(Exception):
    """Another request with the same Idempotency-Key was quicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: `succeeded` with an output, else with an error."""

    status: RunState
    output: Any = None
    outputs: Mapping[str, Any] | None = None
    error: str = ""
    code: str = ""

    @classmethod
    def failure(cls, error: str, code: str) -> "Outcome":
        return cls(status=RunState.FAILED, error=error[:MAX_ERROR], code=code)


def _nothing() -> None:
    """There is nothing to write beside."""


def _move(rows: QuerySet[WorkflowRun], state: RunState, **values: Any) -> int:
    """Bring those of the runs that may come into `state` there; returns how many these are."""
    values = {"changed_at": timezone.now(), **(_IN_QUEUE if state == RunState.QUEUED else {}), **values}
    return rows.filter(status__in=ALLOWED[state]).update(status=state, **values)


def _announce(run_id: uuid.UUID, state: RunState) -> None:
    transaction.on_commit(lambda: wakeups.notify(run_id, state))


# --- A run begins ---------------------------------------------------------------------------------------------------


def start_queued(run: WorkflowRun) -> None:
    """Store a new run for any process to take. Raises KeyTakenError."""
    _insert(run, RunState.QUEUED)


def start_running(run: WorkflowRun) -> Lease:
    """Store a new run that this process executes at once. Raises KeyTakenError."""
    run.fencing_token, run.owner, run.started_at = 1, processes.current, timezone.now()
    _insert(run, RunState.RUNNING)
    return Lease(run.pk, run.fencing_token)


def _insert(run: WorkflowRun, state: RunState) -> None:
    run.status, run.changed_at = state, timezone.now()
    try:
        run.save(force_insert=True)
    except IntegrityError as error:
        if run.idempotency_key and conflict_of(error) == "taken":  # its id is new: nothing else is unique
            raise KeyTakenError from error
        raise
    _announce(run.pk, state)


# --- A process executes it ------------------------------------------------------------------------------------------


@transaction.atomic
def lease(run_id: uuid.UUID, segment: int) -> WorkflowRun | None:
    """Take a queued run for this process; None when this segment of it is over or another process's."""
    now = timezone.now()
    taken = _move(
        WorkflowRun.objects.filter(pk=run_id, segment=segment),
        RunState.RUNNING,
        fencing_token=F("fencing_token") + 1,
        owner=processes.current,
        started_at=Coalesce("started_at", now),
    )
    if not taken:
        return None
    run = WorkflowRun.objects.get(pk=run_id)
    if run.fencing_token > 1:
        left = StepAttempt.objects.filter(run_id=run_id, status=AttemptState.RUNNING).exclude(type__in=GO_ON)
        left.update(status=AttemptState.INTERRUPTED, ended_at=now, changed_at=now)
    _announce(run_id, RunState.RUNNING)
    return run


@transaction.atomic
def park(run: WorkflowRun, *, path: str, until: datetime | None, worked_ms: int, writes: Writes = _nothing) -> None:
    """Put a run aside until somebody decides, or until that moment. It is queued if the decision is there already."""
    lease = Lease.of(run)
    lease.confirm()
    writes()
    decided = StepAttempt.objects.filter(
        run_id=run.pk, status=AttemptState.WAITING, superseded=False, decision__isnull=False
    )
    state, place = RunState.WAITING, {"waits_for": path, "due_at": until, "owner": None}
    if decided.exists():
        state, place = RunState.QUEUED, {}
    _move(lease.rows(), state, worked_ms=F("worked_ms") + worked_ms, **place)
    _announce(run.pk, state)


@transaction.atomic
def release(run: WorkflowRun, *, worked_ms: int, writes: Writes = _nothing) -> None:
    """Leave a run to another process, which goes on with the step that is to be done."""
    if not _move(Lease.of(run).rows(), RunState.QUEUED, worked_ms=F("worked_ms") + worked_ms):
        raise LeaseLostError
    writes()
    _announce(run.pk, RunState.QUEUED)


@transaction.atomic
def end(
    run: WorkflowRun,
    outcome: Outcome,
    *,
    worked_ms: int,
    usage: Mapping[str, Any] | None = None,
    writes: Writes = _nothing,
) -> None:
    """The run is over, here and in the run log. `usage` is what its models used; None: it is added up from the rows."""
    _close(Lease.of(run).rows(), run, outcome, worked_ms=worked_ms, usage=usage, writes=writes)


# --- People and the clock -------------------------------------------------------------------------------------------


def lock(run_id: uuid.UUID) -> WorkflowRun | None:
    """The run as it is until the transaction ends; None when it was deleted."""
    return WorkflowRun.objects.select_for_update(no_key=True).filter(pk=run_id).first()


@transaction.atomic
def cancel(run: WorkflowRun, *, by: str) -> None:
    """End an active run. The process that executes it loses its lease, and stops."""
    _close(_row(run), run, Outcome(status=RunState.CANCELLED, error=f"cancelled by {by}", code="cancelled"))


@transaction.atomic
def give_up(run_id: uuid.UUID) -> None:
    """End a run whose deadline is over."""
    run = lock(run_id)
    if run is not None and run.is_active:
        days = settings.PROMPTOPS_WORKFLOW_DAYS
        _close(_row(run), run, Outcome.failure(f"given up: it was not over in {days:g} days", "timeout"))


@transaction.atomic
def resume(run: WorkflowRun) -> None:
    """Queue a run again that is over, with its next segment."""
    _move(
        _row(run).exclude(status__in=ACTIVE),
        RunState.QUEUED,
        fencing_token=F("fencing_token") + 1,
        crash_count=0,
        output=None,
        outputs=None,
        error="",
        code="",
        ended_at=None,
        forget_at=None,
        deadline=timezone.now() + timedelta(days=settings.PROMPTOPS_WORKFLOW_DAYS),
    )
    log.reopen(run.pk)
    _announce(run.pk, RunState.QUEUED)


@transaction.atomic
def wake_decided(run: WorkflowRun) -> None:
    """Something was decided: the run goes on, if it waits. One that is on its way there finds the decision itself."""
    if _move(_row(run).filter(status=RunState.WAITING), RunState.QUEUED):
        _announce(run.pk, RunState.QUEUED)


def wake_due() -> None:
    """Queue the runs that have waited long enough."""
    due = WorkflowRun.objects.filter(status=RunState.WAITING, due_at__lte=timezone.now())
    found = list(due.values_list("pk", flat=True)[:AT_ONCE])
    if not found:
        return  # on SQLite an UPDATE takes the write lock also when it finds no row
    with transaction.atomic():
        _move(due.filter(pk__in=found), RunState.QUEUED)
        for run_id in found:
            _announce(run_id, RunState.QUEUED)


@transaction.atomic
def recover(run: WorkflowRun, *, crashed: bool = False) -> None:
    """Queue a run anew that is lost, if it is still as it was read. `crashed`: its process is gone."""
    same = _row(run).filter(segment=run.segment, fencing_token=run.fencing_token, status=run.status)
    if _move(
        same.filter(status__in=(RunState.QUEUED, RunState.RUNNING)),
        RunState.QUEUED,
        crash_count=F("crash_count") + int(crashed),
    ):
        _announce(run.pk, RunState.QUEUED)


# --- The end --------------------------------------------------------------------------------------------------------


def _close(
    rows: QuerySet[WorkflowRun],
    run: WorkflowRun,
    outcome: Outcome,
    *,
    worked_ms: int = 0,
    usage: Mapping[str, Any] | None = None,
    writes: Writes = _nothing,
) -> None:
    """The run is over, and so are its attempts that were under way. `rows` has its row, as long as it may be closed."""
    now = timezone.now()
    closed = _move(
        rows,
        outcome.status,
        output=outcome.output,
        outputs=outcome.outputs,
        error=outcome.error,
        code=outcome.code,
        owner=None,
        due_at=None,
        waits_for="",
        worked_ms=F("worked_ms") + worked_ms,
        ended_at=now,
        forget_at=now + text_retention(run.workspace_id),
    )
    if not closed:
        raise LeaseLostError
    writes()
    left = AttemptState.CANCELLED if outcome.status == RunState.CANCELLED else AttemptState.INTERRUPTED
    StepAttempt.objects.filter(run_id=run.pk, ended_at=None).update(status=left, ended_at=now, changed_at=now)
    if usage is None:
        usage = _usage_of(run.pk)
    # How long the run worked counts in the log, and not how long it waited.
    opened = log.OpenRun(run.pk, started=0.0, stopped=max(run.worked_ms + worked_ms, 1) / 1000)
    if outcome.status == RunState.SUCCEEDED:
        log.finish(opened, **usage)
    else:
        log.fail(opened, outcome.error, **usage)
    _announce(run.pk, outcome.status)


def _row(run: WorkflowRun) -> QuerySet[WorkflowRun]:
    return WorkflowRun.objects.filter(pk=run.pk)


def text_retention(workspace_id: str) -> timedelta:
    """How long the texts of a run are kept once it is over."""
    days = log.content_days(workspace_id)
    return timedelta(hours=settings.PROMPTOPS_WORKFLOW_TEXT_HOURS) if days is None else timedelta(days=days)


def _usage_of(run_id: uuid.UUID) -> dict[str, Any]:
    """What the models of a run used, by its attempts: it was not executed to its end, so that nobody counted.

    What can't be added up, or kept, is not known: it must not keep a run from ending.
    """
    traces = StepAttempt.objects.filter(run_id=run_id, trace__isnull=False).order_by("id")
    found: Iterable[Any] = traces.values_list("trace", flat=True)
    models: list[Mapping[str, Any]] = [trace for trace in found if trace and "provider" in trace]

    def total(name: str) -> int | None:
        counts = [trace[name] for trace in models if type(trace.get(name)) is int]
        return sum(counts) if counts and 0 <= sum(counts) <= MAX_COUNT else None

    return {
        "provider": models[-1]["provider"] if models else "",
        "model": models[-1].get("model", "") if models else "",
        "prompt_tokens": total("prompt_tokens"),
        "output_tokens": total("output_tokens"),
    }
