"""What each process does for runs beside executing them, on a thread of its own: twice a second, and when it is woken.

It stops work on runs that are cancelled or that another process has. In a process that takes runs from the queue it
also puts queued segments there, wakes what is due, and recovers runs whose process is gone.

Each look reads first, and writes only where there is something to do: on SQLite an UPDATE or a DELETE takes the write
lock also when it finds no row.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from governance.core import processes, registry
from governance.core.db import ago
from governance.realtime.tail import leave_the_pool
from workflows.engine import liveness, queue, segments, transitions, wakeups
from workflows.engine.leases import Lease, local
from workflows.models import ACTIVE, Delivery, RunState, StepAttempt, WorkflowRun, WorkflowWorker

logger = logging.getLogger("promptops.workflows")

TICK = 0.5  # seconds
RECOVERY_INTERVAL = 2.0  # seconds between two looks for runs whose process is gone
TIDY_INTERVAL = 60.0  # seconds between two looks for texts and rows whose time is over
#: A segment that was queued for so long, and that the queue does not have, is put there again.
LOST_AFTER = timedelta(seconds=10)
#: Seconds after which a run without an owner counts as lost, unless its process keeps `changed_at` new.
UNSIGNED = 60.0
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class SupervisorTask(registry.Entry):
    """Run at each look, in a process that takes runs from the queue."""

    run: Callable[[], object]


class Supervisor:
    """`takes_runs`: whether this process takes runs from the queue, or only goes on with those that requests began."""

    def __init__(self, *, takes_runs: bool) -> None:
        self._takes_runs = takes_runs
        self._woken = threading.Event()
        self._ended = False
        self._lock: IO[bytes] | None = None
        self._sign: liveness.SignOfLife | None = None
        self._recovered_at = self._tidied_at = time.monotonic()
        self._registered: uuid.UUID | None = None
        self._thread = threading.Thread(target=self._run, name="workflows", daemon=True)

    def start(self) -> None:
        local.set_stopping(False)
        wakeups.state_listeners.append(self._on_state)
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Take no more runs, and give back those that we have: each where its next step begins, and after `grace`
        seconds wherever it is."""
        local.set_stopping(True)
        queue.stop()
        deadline = time.monotonic() + grace
        while local.all() and time.monotonic() < deadline:
            time.sleep(0.05)
        for segment in local.all():
            segment.cancel()
        deadline = time.monotonic() + 2
        while local.all() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._ended = True
        self._woken.set()
        self._thread.join(5)
        wakeups.state_listeners.remove(self._on_state)
        if self._sign is not None:
            self._sign.end()
        if self._lock is not None:
            self._lock.close()

    def _on_state(self, state: RunState) -> None:
        if state in (RunState.QUEUED, RunState.CANCELLED):  # there is a segment to put into the queue, or work to stop
            self._woken.set()

    def _run(self) -> None:
        leave_the_pool()
        while not self._ended:
            self._woken.wait(TICK)
            self._woken.clear()
            try:
                self._look()
            except Exception as error:
                logger.warning("could not look after runs, trying again: %s", error)
                connection.close()
                time.sleep(TICK)
        try:
            if self._registered is not None:
                WorkflowWorker.objects.filter(pk=self._registered).delete()
        except Exception as error:
            logger.warning("could not sign off as a worker: %s", error)
        connection.close()

    def _look(self) -> None:
        stop_lost_work()
        me = processes.current
        if me is None:
            return  # this process is not in the database yet
        if self._sign is None:
            self._sign = liveness.SignOfLife(me)
        if self._ended or local.is_stopping():
            return
        now = time.monotonic()
        if not self._takes_runs or not self._may_take():
            if now - self._recovered_at >= RECOVERY_INTERVAL:
                self._recovered_at = now
                _try(recover_own, me)
            return
        if me != self._registered:
            WorkflowWorker.objects.get_or_create(pk=me)
            self._registered = me
            if WorkflowRun.objects.filter(status__in=ACTIVE).exists():
                queue.launch(me, segments.work)  # it is needed soon
        if now - self._tidied_at >= TIDY_INTERVAL:
            self._tidied_at = now
            _try(tidy)
        for task in registry.entries(SupervisorTask):
            _try(task.run)
        if not WorkflowRun.objects.filter(status__in=ACTIVE).exists():
            return
        _try(transitions.wake_due)
        _try(give_up_overdue)
        if now - self._recovered_at >= RECOVERY_INTERVAL:
            self._recovered_at = now
            _try(recover, me)
        _try(dispatch, me)

    def _may_take(self) -> bool:
        """On SQLite one process alone takes runs: the one that has the lock."""
        if connection.vendor != "sqlite":
            return True
        if self._lock is None:
            self._lock = liveness.lock(Path(settings.DATA_DIR) / "engine.lock")
        return self._lock is not None


def _try(chore: Callable[..., object], *args: Any) -> None:
    """Do it; when that fails, the others are done all the same, and this one next time."""
    try:
        chore(*args)
    except Exception as error:
        logger.warning("%s failed, trying again: %s", chore.__name__, error)
        connection.close()


def stop_lost_work() -> None:
    """Stop work on runs whose lease this process has lost."""
    here = local.all()
    if not here:
        return
    rows = WorkflowRun.objects.filter(pk__in=[segment.lease.run_id for segment in here], status=RunState.RUNNING)
    found = {pk: (token, owner) for pk, token, owner in rows.values_list("pk", "fencing_token", "owner")}
    for segment in here:
        token, owner = found.get(segment.lease.run_id, (None, None))
        if token != segment.lease.token:
            segment.cancel()
        elif owner is None:
            _sign(segment.lease)


def _sign(lease: Lease) -> None:
    """Set the owner of a run that began before this process was in the database; until then keep `changed_at` new."""
    unsigned = lease.rows().filter(owner=None)
    if processes.current is not None:
        unsigned.update(owner=processes.current)
    elif unsigned.filter(changed_at__lt=ago(UNSIGNED / 4)).exists():
        unsigned.update(changed_at=Now())


def dispatch(me: uuid.UUID) -> int:
    """Put what is queued into the queue, which is launched when the first run comes; returns how many."""
    waiting = WorkflowRun.objects.filter(status=RunState.QUEUED, dispatched=False)
    if not waiting.exists():
        return 0
    queue.launch(me, segments.work)
    # Marked in a transaction, then put there outside of it: the queue takes its time, and other writers must not wait
    # for that. Segments that did not come there in the end, since this process died, are found by `recover`.
    with transaction.atomic():
        rows = waiting.select_for_update(skip_locked=connection.vendor == "postgresql").order_by("created_at")
        offered = list(rows.values_list("pk", "segment")[:AT_ONCE])
        ours = WorkflowRun.objects.filter(pk__in=[run_id for run_id, _ in offered])
        now = timezone.now()
        ours.filter(changed_at__lt=now - LOST_AFTER).update(changed_at=now)  # else `recover` finds them at once
        ours.update(dispatched=True)
    try:
        queue.enqueue(offered)
    except Exception:
        for run_id, segment in offered:
            WorkflowRun.objects.filter(pk=run_id, segment=segment, status=RunState.QUEUED).update(dispatched=False)
        raise
    return len(offered)


def give_up_overdue() -> None:
    """End the runs that are not over by their deadline."""
    overdue = WorkflowRun.objects.filter(status__in=ACTIVE, deadline__lte=timezone.now())
    for run_id in overdue.values_list("pk", flat=True)[:AT_ONCE]:
        _try(transitions.give_up, run_id)


def _running_elsewhere() -> QuerySet[WorkflowRun]:
    """The running runs that this process does not work on."""
    here = [segment.lease.run_id for segment in local.all()]
    return WorkflowRun.objects.filter(status=RunState.RUNNING).exclude(pk__in=here)


def _left_by(me: uuid.UUID) -> Q:
    """Of the runs that this process does not work on, its own: the database went away under them."""
    return Q(owner=me, changed_at__lt=timezone.now() - LOST_AFTER)


def recover_own(me: uuid.UUID) -> None:
    """Queue runs again that a request began here, and that were left: nobody else can see that they were."""
    for run in _running_elsewhere().filter(_left_by(me))[:AT_ONCE]:
        logger.warning("run %s: nobody works on it here any more, it goes on in the queue", run.pk)
        transitions.recover(run, crashed=True)


def recover(me: uuid.UUID) -> None:
    """Queue runs again whose process is gone, or that the queue has lost."""
    running = _running_elsewhere()
    owners = {owner for owner in running.values_list("owner", flat=True) if owner not in (None, me)}
    gone = liveness.dead(owner for owner in owners if owner)
    now = timezone.now()
    # One that began before its process was in the database: that process signs it, or keeps `changed_at` new.
    unsigned = Q(owner=None, changed_at__lt=ago(UNSIGNED))
    for run in running.filter(Q(owner__in=gone) | unsigned | _left_by(me))[:AT_ONCE]:
        logger.warning("run %s: the process that had it is gone, it goes on elsewhere", run.pk)
        transitions.recover(run, crashed=True)
    queued = WorkflowRun.objects.filter(status=RunState.QUEUED, dispatched=True, changed_at__lt=now - LOST_AFTER)
    stale = list(queued[:AT_ONCE])
    if stale:
        queue.launch(me, segments.work)
        known = queue.knows((run.pk, run.segment) for run in stale)
        known -= pending_of_the_dead(known)
        for run in stale:
            if (run.pk, run.segment) not in known:
                transitions.recover(run)
        in_line = [run.pk for run in stale if (run.pk, run.segment) in known]  # it is only a long queue
        if in_line:
            WorkflowRun.objects.filter(pk__in=in_line, status=RunState.QUEUED).update(changed_at=now)


def pending_of_the_dead(known: set[queue.Segment]) -> set[queue.Segment]:
    """Of these segments those that a process took from the queue and died before it leased their run."""
    executors = queue.executors(known)
    gone = liveness.dead(set(executors.values()))
    return {segment for segment, executor in executors.items() if executor in gone}


def tidy() -> None:
    """Delete texts whose days are over, and rows that nobody needs any more."""
    now = timezone.now()
    over = WorkflowRun.objects.filter(forget_at__lte=now).values_list("pk", flat=True)[:AT_ONCE]
    for run_id in list(over):
        with transaction.atomic():
            StepAttempt.objects.filter(run_id=run_id).update(
                input=None, output=None, trace=None, memo=None, decision=None
            )
            StepAttempt.objects.filter(run_id=run_id, error__isnull=False).update(error="")
            WorkflowRun.objects.filter(pk=run_id).update(
                definition=None, variables=None, output=None, outputs=None, error="", forget_at=None
            )
    deliveries = Delivery.objects.filter(forget_at__lte=now)
    if deliveries.exists():
        deliveries.delete()
    if gone := liveness.dead(WorkflowWorker.objects.values_list("pk", flat=True)):
        WorkflowWorker.objects.filter(pk__in=gone).delete()
    if queue.is_running():
        queue.forget()


def without_a_worker() -> bool:
    """Whether runs wait in the queue and no process is there to take them."""
    late = timezone.now() - LOST_AFTER
    if not WorkflowRun.objects.filter(status=RunState.QUEUED, changed_at__lt=late).exists():
        return False
    workers = set(WorkflowWorker.objects.values_list("pk", flat=True))
    return not workers - liveness.dead(workers)


_supervisor: Supervisor | None = None


def start(*, takes_runs: bool) -> Supervisor:
    """Start the supervisor of this process."""
    global _supervisor
    _supervisor = Supervisor(takes_runs=takes_runs)
    _supervisor.start()
    return _supervisor


def stop(grace: float) -> None:
    """Stop it, if it was started: see Supervisor.stop."""
    global _supervisor
    supervisor, _supervisor = _supervisor, None
    if supervisor is not None:
        supervisor.stop(grace)
