"""Schedules: runs that start by the clock."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from governance import audit
from governance.access.actors import Actor
from governance.core.db import AWAY
from governance.core.models import changed
from workflows.engine import actors
from workflows.models import Schedule, Trigger, Workflow, WorkflowRun
from workflows.triggers import starting
from workflows.triggers.cron import next_tick

#: The most schedules that one call starts.
MAX_STARTED = 50


@transaction.atomic
def create_schedule(*, actor: Actor, workflow: Workflow, **values: Any) -> Schedule:
    schedule = Schedule(workflow=workflow, created_by=actor.name, bounds=actors.snapshot(actor), **values)
    _set_next(schedule)
    schedule.save(force_insert=True)
    starting.record(actor, schedule, "create", "Created", audit.created(**starting.state_of(schedule)))
    return schedule


@transaction.atomic
def update_schedule(*, actor: Actor, schedule: Schedule, if_match: str | None = None, **values: Any) -> Schedule:
    """Change these fields. From now on its runs belong to the actor who changed it."""
    schedule = starting.lock(Schedule, schedule, if_match)
    differences = changed(schedule, values)
    if not differences:
        return schedule
    _set_next(schedule)
    schedule.created_by, schedule.bounds = actor.name, actors.snapshot(actor)
    schedule.save_fields(*differences, "next_at", "created_by", "bounds")
    starting.record(actor, schedule, "update", f"Changed {', '.join(differences)} of", differences)
    return schedule


@transaction.atomic
def delete_schedule(*, actor: Actor, schedule: Schedule, if_match: str | None = None) -> None:
    schedule = starting.lock(Schedule, schedule, if_match)
    starting.record(actor, schedule, "delete", "Deleted", audit.deleted(**starting.state_of(schedule)))
    schedule.delete()


def tick(now: datetime | None = None) -> list[WorkflowRun]:
    """Start a run for each schedule that is due. Several processes may call it: one of them gets each tick.

    Ticks that were missed while no process was running make one run together. A schedule whose run can't be started
    stores the error and waits for its next tick, so that it does not delay the others.
    """
    now = now or timezone.now()
    due = Schedule.objects.select_related("workflow").filter(enabled=True, next_at__lte=now).order_by("next_at")
    started = []
    for schedule in due[:MAX_STARTED]:
        try:
            with starting.recording_failures(schedule):
                run = _tick(schedule, now)
        except AWAY:
            raise
        except Exception:
            _skip(schedule, now)
        else:
            if run is not None:
                started.append(run)
    return started


@transaction.atomic
def _tick(schedule: Schedule, now: datetime) -> WorkflowRun | None:
    following = next_tick(schedule.cron, schedule.timezone, now)
    # The process that moves `next_at` on gets the tick.
    due = Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at, enabled=True)
    if not due.update(next_at=following, last_at=now):
        return None
    run = starting.start(schedule, Trigger.SCHEDULE, schedule.variables)
    Schedule.objects.filter(pk=schedule.pk).update(last_run_id=run.pk, last_error="")
    return run


def _skip(schedule: Schedule, now: datetime) -> None:
    """Move on to the next tick. A schedule without one, as in a time zone that no longer exists, waits to be edited."""
    try:
        following = next_tick(schedule.cron, schedule.timezone, now)
    except Exception:
        following = None
    Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at).update(next_at=following)


def _set_next(schedule: Schedule) -> None:
    following = next_tick(schedule.cron, schedule.timezone, timezone.now())
    schedule.next_at = following if schedule.enabled else None
