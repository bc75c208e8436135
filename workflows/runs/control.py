"""Everything that people do to runs: start, cancel, resume, decide."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from governance import audit
from governance.access.actors import Actor
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError
from governance.runs import log
from governance.runs.log import OpenRun
from workflows.engine import actors, transitions
from workflows.models import ACTIVE, AttemptState, RunState, StepAttempt, Trigger, Workflow, WorkflowRun
from workflows.steps import STEP_TYPES

#: Types of steps that have others inside.
_COMPOSITE = [name for name, step_type in STEP_TYPES.items() if step_type.holds_steps]
_ITEM = re.compile(r"\[[0-9]+\]$")


def digest_of(body: Mapping[str, Any]) -> str:
    """What tells one request's body from another's under the same Idempotency-Key."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@transaction.atomic
def start(
    *,
    actor: Actor,
    workflow: Workflow,
    definition: Mapping[str, Any],
    version: str,
    variables: Mapping[str, Any],
    strict: bool = False,
    unit: str | None = None,
    trigger: Trigger = Trigger.API,
    trigger_id: uuid.UUID | None = None,
    idempotency_key: str = "",
    body_digest: str = "",
    bounds: Mapping[str, Any] | None = None,
) -> WorkflowRun:
    """Queue a run. `bounds` is who it is of where that is not `actor`: the one who set up a schedule.

    Raises KeyTakenError.
    """
    run = open_run(
        actor=actor,
        workflow=workflow,
        definition=definition,
        version=version,
        variables=variables,
        strict=strict,
        unit=unit,
        trigger=trigger,
        trigger_id=trigger_id,
        idempotency_key=idempotency_key,
        body_digest=body_digest,
    )
    if bounds is not None:
        run.bounds = dict(bounds)
    transitions.start_queued(run)
    return run


def open_run(*, actor: Actor, workflow: Workflow, version: str, **values: Any) -> WorkflowRun:
    """Open a run in the run log, and make its row, which is not saved."""
    opened = log.start(
        actor=actor,
        source="workflow",
        workspace_id=workflow.workspace_id,
        ref_id=workflow.pk,
        ref_key=workflow.key,
        version=version,
    )
    return new(opened, actor=actor, workflow=workflow, version=version, **values)


def new(opened: OpenRun, *, actor: Actor, workflow: Workflow, **values: Any) -> WorkflowRun:
    """The row of a run that is in the run log already; not saved."""
    now = timezone.now()
    return WorkflowRun(
        pk=opened.id,
        workspace_id=workflow.workspace_id,
        workflow_id=workflow.pk,
        key=workflow.key,
        actor=actor.name,
        actor_identity=actor.identity,
        bounds=actors.snapshot(actor),
        deadline=now + timedelta(days=settings.PROMPTOPS_WORKFLOW_DAYS),
        changed_at=now,
        **values,
    )


def find_repeated(*, actor: Actor, workflow: Workflow, key: str, body_digest: str) -> WorkflowRun | None:
    """The run that was started with that Idempotency-Key. Raises ConflictError if it was for another body."""
    run = WorkflowRun.objects.filter(
        workflow_id=workflow.pk, actor_identity=actor.identity, idempotency_key=key
    ).first()
    if run is not None and run.body_digest != body_digest:
        raise ConflictError("this Idempotency-Key was used with another body: take a new key for another run")
    return run


@transaction.atomic
def cancel(*, actor: Actor, run: WorkflowRun) -> WorkflowRun:
    """Stop it where it is. The process that works on it notices within a second, and closes its connections."""
    run = _lock(run)
    if not run.is_active:
        raise ConflictError(f"this run has {run.status} already")
    transitions.cancel(run, by=actor.name)
    _record(actor, run, "cancel", "Cancelled", {"status": {"old": run.status, "new": RunState.CANCELLED.value}})
    run.refresh_from_db()
    return run


@transaction.atomic
def resume(*, actor: Actor, run: WorkflowRun, step: str | None = None) -> WorkflowRun:
    """Go on with a run that failed or was cancelled: with the step where it ended, or again from `step` on.

    What was done before is kept; what came of `step` and of all that began after it is void. The steps that `step` is
    inside of go on with the attempt that they were at, and with their memo.
    """
    run = _lock(run)
    if run.is_active:
        raise ConflictError(f"this run is {run.status}: cancel it first, if it is to go on from somewhere else")
    if step is None and run.status == RunState.SUCCEEDED:
        raise ConflictError("this run has succeeded: say from which step it is to go on")
    if run.definition is None:
        raise ConflictError("the texts of this run were deleted when their days were over: start a new one")
    now = timezone.now()
    attempts = StepAttempt.objects.filter(run_id=run.pk, superseded=False)
    if step is None:
        void = attempts.exclude(status__in=[AttemptState.SUCCEEDED, AttemptState.SKIPPED]).exclude(failed_over=True)
        around = set(void.filter(type__in=_COMPOSITE).values_list("path", flat=True))
    else:
        first = attempts.filter(path=step).order_by("id").first()
        if first is None:
            raise InvalidInputError.of("from", f"this run has not come to a step {step!r}")
        void = attempts.filter(pk__gte=first.pk)
        around = set(paths_around(step))
    void = void.exclude(path__in=around)
    void.filter(number=0).delete()
    void.update(superseded=True, changed_at=now)
    going_on = attempts.filter(path__in=around).order_by().values("path").annotate(last=Max("pk")).values("last")
    StepAttempt.objects.filter(pk__in=list(going_on.values_list("last", flat=True))).update(
        status=AttemptState.RUNNING,
        output=None,
        trace=None,
        error=None,
        failed_over=False,
        ended_at=None,
        changed_at=now,
    )
    transitions.resume(run)
    status = {"old": run.status, "new": RunState.QUEUED.value}
    _record(actor, run, "resume", "Resumed", {"status": status, "from": {"old": None, "new": step}})
    run.refresh_from_db()
    return run


def paths_around(path: str) -> list[str]:
    """The paths of the steps that the step at `path` is inside of: `a` and `a[3]/b` for `a[3]/b/c`."""
    return [_ITEM.sub("", path[:end]) for end, sign in enumerate(path) if sign == "/"]


@transaction.atomic
def decide(
    *, actor: Actor, run: WorkflowRun, approved: bool, comment: str = "", step: str | None = None
) -> WorkflowRun:
    """Decide an approval that the run waits for. With several of them `step` (an id or a path) says which one."""
    run = _lock(run)
    open_ = StepAttempt.objects.filter(
        run_id=run.pk, type="approval", status=AttemptState.WAITING, decision__isnull=True, superseded=False
    )
    waiting = list(open_.select_for_update().order_by("id"))
    if not run.is_active or not waiting:
        raise ConflictError("this run waits for no decision")
    if step is not None:
        waiting = [attempt for attempt in waiting if step in (attempt.path, attempt.step_id)]
    if len(waiting) != 1:
        paths = ", ".join(open_.values_list("path", flat=True))
        raise InvalidInputError.of("step", f"say which one, of those that wait: {paths}")
    attempt, now = waiting[0], timezone.now()
    attempt.decision = {"approved": approved, "by": actor.name, "comment": comment, "at": now.isoformat()}
    attempt.changed_at = now
    attempt.save(update_fields=["decision", "changed_at"])
    transitions.wake_decided(run)
    decision = audit.created(step=attempt.path, approved=approved, comment=comment)
    _record(actor, run, "approve" if approved else "reject", "Approved" if approved else "Rejected", decision)
    run.refresh_from_db()
    return run


def _lock(run: WorkflowRun) -> WorkflowRun:
    locked = transitions.lock(run.pk)
    if locked is None:
        raise NotFoundError
    return locked


def _record(actor: Actor, run: WorkflowRun, action: str, verb: str, differences: audit.Changes) -> None:
    audit.record(
        actor=actor,
        action=action,
        resource="workflow_run",
        resource_id=run.pk,
        key=run.key,
        summary=f"{verb} a run of workflow {run.key}",
        workspace_id=run.workspace_id,
        changes=differences,
    )


def active() -> Any:
    """The ids of runs that are not over: no sweep closes them, whatever became of the process they began in."""
    return WorkflowRun.objects.filter(status__in=ACTIVE).values("pk")
