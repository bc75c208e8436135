"""Runs that the clock starts."""

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

AT_ONCE = 50


@transaction.atomic
def create_schedule(*, actor: Actor, workflow: Workflow, **values: Any) -> Schedule:
    schedule = Schedule(workflow=workflow, created_by=actor.name, bounds=actors.snapshot(actor), **values)
    _set_next(schedule)
    schedule.save(force_insert=True)
    starting.record(actor, schedule, "create", "Created", audit.created(**starting.state_of(schedule)))
    return schedule


@transaction.atomic
def update_schedule(*, actor: Actor, schedule: Schedule, if_match: str | None = None, **values: Any) -> Schedule:
    """Change what is given. From here on its runs are of who changed it."""
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
    """Start a run for each schedule whose time has come. Many processes may look: each tick is of one of them.

    Ticks that nobody was there for make one run, at once. One whose run can't be started says why, and goes on to its
    next tick: it would hardly go better a moment later, and the others have their turn.
    """
    now = now or timezone.now()
    due = Schedule.objects.select_related("workflow").filter(enabled=True, next_at__lte=now).order_by("next_at")
    started = []
    for schedule in due[:AT_ONCE]:
        try:
            with starting.telling_failures(schedule):
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
    # Who moves the clock on has the tick.
    mine = Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at, enabled=True)
    if not mine.update(next_at=following, last_at=now):
        return None
    run = starting.start(schedule, Trigger.SCHEDULE, schedule.variables)
    Schedule.objects.filter(pk=schedule.pk).update(last_run_id=run.pk, last_error="")
    return run


def _skip(schedule: Schedule, now: datetime) -> None:
    """Go on to the next tick; a schedule that has none, such as in a time zone that is gone, waits to be edited."""
    try:
        following = next_tick(schedule.cron, schedule.timezone, now)
    except Exception:
        following = None
    Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at).update(next_at=following)


def _set_next(schedule: Schedule) -> None:
    following = next_tick(schedule.cron, schedule.timezone, timezone.now())
    schedule.next_at = following if schedule.enabled else None
