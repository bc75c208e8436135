"""What each process does for runs beside working on them, twice a second and on every hint, on a thread of its own.

It stops work on runs that are cancelled or were taken over. In a process that takes runs from the queue it also offers
queued legs to the engine, wakes what is due, and finds runs whose process is gone.

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
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from governance.core import processes, registry
from governance.core.db import ago
from governance.realtime.tail import leave_the_pool
from workflows.engine import liveness, queue, segments, wakeups
from workflows.engine.leases import Held, held
from workflows.models import GOING, Delivery, RunState, StepAttempt, WorkflowRun, WorkflowWorker

logger = logging.getLogger("promptops.workflows")

TICK = 0.5  # seconds
HEAL = 2.0  # seconds between two looks for runs whose process is gone
TIDY = 60.0  # seconds between two looks for texts and rows whose time is over
#: A leg that was queued for so long, and that the engine knows nothing of, is offered again.
LOST_AFTER = timedelta(seconds=10)
#: Seconds after which a run without an owner counts as lost, unless its process keeps `changed_at` new.
UNSIGNED = 60.0
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class SupervisorTask(registry.Entry):
    """Run at each look, in a process that takes runs from the queue."""

    run: Callable[[], object]


class Keeper:
    """`takes_runs`: whether this process has an engine, or works on no more than what requests left to it."""

    def __init__(self, *, takes_runs: bool) -> None:
        self._takes_runs = takes_runs
        self._woken = threading.Event()
        self._ended = False
        self._lock: IO[bytes] | None = None
        self._sign: liveness.SignOfLife | None = None
        self._healed_at = self._tidied_at = time.monotonic()
        self._registered: uuid.UUID | None = None
        self._thread = threading.Thread(target=self._run, name="workflows", daemon=True)

    def start(self) -> None:
        held.stay()
        wakeups.listeners.append(self._hinted)
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self, grace: float) -> None:
        """Take no more runs, and let go of those that we have: each where its next step begins, and after `grace`
        seconds wherever it is."""
        held.leave()
        queue.stop()
        deadline = time.monotonic() + grace
        while held.all() and time.monotonic() < deadline:
            time.sleep(0.05)
        for one in held.all():
            one.working.cancel()
        deadline = time.monotonic() + 2
        while held.all() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._ended = True
        self._woken.set()
        self._thread.join(5)
        wakeups.listeners.remove(self._hinted)
        if self._sign is not None:
            self._sign.end()
        if self._lock is not None:
            self._lock.close()

    def _hinted(self, run_id: uuid.UUID) -> None:
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
        watch()
        me = processes.current
        if me is None:
            return  # the process has not told the database yet that it lives
        if self._sign is None:
            self._sign = liveness.SignOfLife(me)
        if self._ended or held.is_leaving() or not self._takes_runs or not self._may_take():
            return
        if me != self._registered:
            WorkflowWorker.objects.get_or_create(pk=me)
            self._registered = me
            if WorkflowRun.objects.filter(status__in=GOING).exists():
                queue.launch(me, segments.work)  # it is needed soon
        now = time.monotonic()
        if now - self._tidied_at >= TIDY:
            self._tidied_at = now
            _try(tidy)
        for task in registry.entries(SupervisorTask):
            _try(task.run)
        if not WorkflowRun.objects.filter(status__in=GOING).exists():
            return
        _try(wake_due)
        if now - self._healed_at >= HEAL:
            self._healed_at = now
            _try(heal, me)
        _try(dispatch, me)

    def _may_take(self) -> bool:
        """On SQLite one process alone runs the engine: who has the lock."""
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


def watch() -> None:
    """Stop work on runs that this process has no more."""
    mine = held.all()
    if not mine:
        return
    rows = WorkflowRun.objects.filter(pk__in=[one.run_id for one in mine], status=RunState.RUNNING)
    found = {pk: (claim, owner) for pk, claim, owner in rows.values_list("pk", "claim", "owner")}
    for one in mine:
        claim, owner = found.get(one.run_id, (None, None))
        if claim != one.claim:
            one.working.cancel()
        elif owner is None:
            _sign(one)


def _sign(one: Held) -> None:
    """Set the owner of a run that began before this process was in the database; until then keep `changed_at` new."""
    ours = WorkflowRun.objects.filter(pk=one.run_id, claim=one.claim, status=RunState.RUNNING, owner=None)
    if processes.current is not None:
        ours.update(owner=processes.current)
    elif ours.filter(changed_at__lt=ago(UNSIGNED / 4)).exists():
        ours.update(changed_at=Now())


def dispatch(me: uuid.UUID) -> int:
    """Offer what is queued to the engine, which is launched when the first run comes; returns how many."""
    waiting = WorkflowRun.objects.filter(status=RunState.QUEUED, dispatched=False)
    if not waiting.exists():
        return 0
    queue.launch(me, segments.work)
    # Marked in a transaction, then offered outside of it: the engine takes its time, and other writers must not wait
    # for that. Legs that were not offered in the end, since this process died, are found by `heal`.
    with transaction.atomic():
        rows = waiting.select_for_update(skip_locked=connection.vendor == "postgresql").order_by("created_at")
        offered = list(rows.values_list("pk", "leg")[:AT_ONCE])
        ours = WorkflowRun.objects.filter(pk__in=[run_id for run_id, _ in offered])
        now = timezone.now()
        ours.filter(changed_at__lt=now - LOST_AFTER).update(changed_at=now)  # else `heal` finds them at once
        ours.update(dispatched=True)
    try:
        queue.offer(offered)
    except Exception:
        for run_id, leg in offered:
            WorkflowRun.objects.filter(pk=run_id, leg=leg, status=RunState.QUEUED).update(dispatched=False)
        raise
    return len(offered)


def wake_due() -> None:
    """Queue what has waited long enough, and give up what has run out of time."""
    now = timezone.now()
    due = WorkflowRun.objects.filter(status=RunState.WAITING, due_at__lte=now)
    if due.exists():
        due.update(
            status=RunState.QUEUED, leg=F("leg") + 1, dispatched=False, due_at=None, waits_for="", changed_at=now
        )
    for run_id in WorkflowRun.objects.filter(status__in=GOING, deadline__lte=now).values_list("pk", flat=True)[
        :AT_ONCE
    ]:
        _try(give_up, run_id)


@transaction.atomic
def give_up(run_id: uuid.UUID) -> None:
    """Close a run that has run out of time."""
    run = WorkflowRun.objects.select_for_update(no_key=True).get(pk=run_id)
    if run.going:
        message = f"given up: it was not over in {settings.PROMPTOPS_WORKFLOW_DAYS:g} days"
        segments.close(run, RunState.FAILED, {"error": message, "code": "timeout"})


def heal(me: uuid.UUID) -> None:
    """Queue runs again whose process is gone, or that fell out of the engine."""
    here = [one.run_id for one in held.all()]
    running = WorkflowRun.objects.filter(status=RunState.RUNNING).exclude(pk__in=here)
    owners = {owner for owner in running.values_list("owner", flat=True) if owner not in (None, me)}
    gone = liveness.dead(owner for owner in owners if owner)
    now = timezone.now()
    # One of ours that we do not work on: the database went away under it.
    ours = Q(owner=me, changed_at__lt=now - LOST_AFTER)
    # One that began before its process was in the database: that process signs it, or keeps `changed_at` new.
    unsigned = Q(owner=None, changed_at__lt=ago(UNSIGNED))
    lost = list(running.filter(Q(owner__in=gone) | unsigned | ours)[:AT_ONCE])
    for run in lost:
        logger.warning("run %s: the process that had it is gone, it goes on elsewhere", run.pk)
        again(run, died=True)
    queued = WorkflowRun.objects.filter(status=RunState.QUEUED, dispatched=True, changed_at__lt=now - LOST_AFTER)
    stale = list(queued[:AT_ONCE])
    if stale:
        queue.launch(me, segments.work)
        known = queue.knows((run.pk, run.leg) for run in stale)
        known -= pending_of_the_dead(known)
        for run in stale:
            if (run.pk, run.leg) not in known:
                again(run)
        in_line = [run.pk for run in stale if (run.pk, run.leg) in known]  # it is only a long queue
        if in_line:
            WorkflowRun.objects.filter(pk__in=in_line, status=RunState.QUEUED).update(changed_at=now)


def again(run: WorkflowRun, *, died: bool = False) -> None:
    """Queue a run as it is, if it is still as we saw it."""
    same = WorkflowRun.objects.filter(pk=run.pk, leg=run.leg, claim=run.claim, status=run.status)
    same.update(
        status=RunState.QUEUED,
        leg=F("leg") + 1,
        dispatched=False,
        owner=None,
        deaths=F("deaths") + int(died),
        changed_at=timezone.now(),
    )


def pending_of_the_dead(known: set[queue.Leg]) -> set[queue.Leg]:
    """Of these legs those that a process took from the queue and died before it claimed their run."""
    executors = queue.executors(known)
    gone = liveness.dead(set(executors.values()))
    return {leg for leg, executor in executors.items() if executor in gone}


def tidy() -> None:
    """Delete texts whose days are over, and rows that nobody needs any more."""
    now = timezone.now()
    over = WorkflowRun.objects.filter(forget_at__lte=now).values_list("pk", flat=True)[:AT_ONCE]
    for run_id in list(over):
        with transaction.atomic():
            StepAttempt.objects.filter(run_id=run_id).update(
                input=None, output=None, trace=None, kept=None, decision=None
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


_keeper: Keeper | None = None


def start(**values: Any) -> Keeper:
    """The keeper of this process."""
    global _keeper
    _keeper = Keeper(**values)
    _keeper.start()
    return _keeper


def stop(grace: float) -> None:
    global _keeper
    keeper, _keeper = _keeper, None
    if keeper is not None:
        keeper.stop(grace)
