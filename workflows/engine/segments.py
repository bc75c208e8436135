"""A leg of a run: from where it starts or goes on until it ends, or has to wait."""

import concurrent.futures
import logging
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import F
from django.utils import timezone

from agents.providers import registry
from agents.transport import bridge
from governance.core import processes
from governance.core.db import AWAY
from governance.core.errors import DomainError
from governance.runs import log
from governance.tenancy.models import Workspace
from workflows.definition import parsing
from workflows.engine import actors, wakeups
from workflows.engine.durable_journal import LostClaimError, ReleasedError, RunJournal, hold
from workflows.engine.interpreter import Result, Used, interpret
from workflows.engine.leases import Held, held
from workflows.models import AttemptState, RunState, StepAttempt, WorkflowRun
from workflows.steps import STEP_TYPES, RunContext
from workflows.steps.base import InternalError
from workflows.steps.journal import Parked

logger = logging.getLogger("promptops.workflows")

#: How often a run may be lost at one step, mostly with its process; after that the step is taken for the cause.
MAX_DEATHS = 10
MAX_ERROR = 4000
#: Types of steps whose attempt lives over the end of a process.
GO_ON = [name for name, step_type in STEP_TYPES.items() if step_type.is_resumable]


def work(run_id: uuid.UUID, leg: int) -> None:
    """Do a leg, on this thread. Whatever goes wrong, the run is ended, parked, or left for another to go on with."""
    try:
        run = claim(run_id, leg)
        if run is not None:
            try:
                go_on(run)
            except AWAY:
                raise
            except Exception as error:
                fail(run, 0, error)
    except AWAY as error:
        # The keeper finds a run that nobody works on, and offers it again.
        logger.warning("run %s: the database is away, it is left for later: %s", run_id, error)
        connection.close()
    finally:
        if not connection.in_atomic_block:
            close_old_connections()


def claim(run_id: uuid.UUID, leg: int) -> WorkflowRun | None:
    """Take the run for this process; None when this leg of it is over or somebody else's."""
    now = timezone.now()
    mine = WorkflowRun.objects.filter(pk=run_id, leg=leg, status=RunState.QUEUED).update(
        status=RunState.RUNNING, claim=F("claim") + 1, owner=processes.current, changed_at=now
    )
    if not mine:
        return None
    run = WorkflowRun.objects.get(pk=run_id)
    if run.started_at is None:
        run.started_at = now
        run.save(update_fields=["started_at"])
    # What earlier lives left behind: steps with steps inside go on with their attempt, any other is begun anew.
    left = StepAttempt.objects.filter(run_id=run_id, status=AttemptState.RUNNING).exclude(type__in=GO_ON)
    left.update(status=AttemptState.INTERRUPTED, ended_at=now, changed_at=now)
    wakeups.give(run_id)
    return run


def go_on(run: WorkflowRun) -> None:
    """Interpret the run, whose claim is ours. Raises what keeps it from being begun."""
    actor = actors.restore(run.bounds, workspace_id=run.workspace_id)
    if run.deaths >= MAX_DEATHS:
        raise DomainError(f"given up: it was lost {run.deaths} times while the same step was made")
    if run.own_call:
        raise DomainError("it had an api_key or a base_url of its own, which is not kept: start it anew")
    journal = RunJournal(leaving=held.is_leaving)
    journal.load(run.pk, run.claim)
    registry.warm_up()
    context = RunContext(
        actor=actor,
        workspace_id=run.workspace_id,
        run_id=run.pk,
        workflow_id=run.workflow_id,
        workflow_key=run.key,
        variables=run.variables,
        strict=run.strict,
        unit=run.unit,
    )
    finish(run, bridge.Working(interpret, parsing.load(run.definition), context, journal))


def finish(run: WorkflowRun, working: "bridge.Working[Result]", *, began: float | None = None) -> None:
    """Wait for the work, and write down what came of it. The run's claim is ours.

    Raises only what says that the database is away: then the run is left as it is, and found by the keeper.
    """
    began = time.monotonic() if began is None else began

    def worked() -> int:
        return round((time.monotonic() - began) * 1000)

    if not connection.in_atomic_block:
        close_old_connections()
    try:
        with held.holding(Held(run.pk, run.claim, working)):
            result = working.result()
        end_with(run, worked(), result)
    except Parked as parked:
        park(run, worked(), parked)
    except ReleasedError:
        release(run, worked())
    except LostClaimError:
        logger.info("run %s: it is not ours any more", run.pk)
    except concurrent.futures.CancelledError:
        release(run, worked())  # this process ends; a cancelled run's claim is gone, and nothing is written
    except AWAY:
        raise
    except Exception as error:
        fail(run, worked(), error)


def park(run: WorkflowRun, worked_ms: int, parked: Parked) -> None:
    """Leave the run waiting: no thread has it, and it is taken up again by a decision or by the clock."""
    try:
        with transaction.atomic():
            hold(run.pk, run.claim)
            decided = StepAttempt.objects.filter(
                run_id=run.pk, status=AttemptState.WAITING, superseded=False, decision__isnull=False
            )
            status = RunState.QUEUED if decided.exists() else RunState.WAITING  # while it was on its way here
            leave(run, status, worked_ms, waits_for=parked.path, due_at=parked.until)
    except LostClaimError:
        return
    wakeups.give(run.pk)


def release(run: WorkflowRun, worked_ms: int) -> None:
    """Leave the run to another process, which goes on with the step that is to be done."""
    try:
        with transaction.atomic():
            hold(run.pk, run.claim)
            leave(run, RunState.QUEUED, worked_ms)
    except LostClaimError:
        return
    wakeups.give(run.pk)


def leave(run: WorkflowRun, status: RunState, worked_ms: int = 0, **values: Any) -> None:
    """In a transaction that holds the run: it goes on with another leg."""
    WorkflowRun.objects.filter(pk=run.pk).update(
        status=status,
        leg=F("leg") + 1,
        dispatched=False,
        owner=None,
        worked_ms=F("worked_ms") + worked_ms,
        changed_at=timezone.now(),
        **values,
    )


def end_with(run: WorkflowRun, worked_ms: int, result: Result) -> None:
    """Close the run, whose claim is ours, with what the interpreter says."""
    end_as(run, *outcome_of(result), worked_ms=worked_ms, used=result.used)


def outcome_of(result: Result) -> tuple[RunState, dict[str, Any]]:
    """How a run ends, and what is kept of it."""
    if result.error is None:
        return RunState.SUCCEEDED, {"output": result.output, "outputs": result.outputs}
    name = result.trace[-1]["name"] if result.trace else ""
    message = f"{name}: {result.error.message}" if name else result.error.message
    return RunState.FAILED, {"error": message[:MAX_ERROR], "code": result.error.code}


def fail(run: WorkflowRun, worked_ms: int, error: Exception) -> None:
    """Close the run, whose claim is ours, for a reason that is no step's."""
    if not isinstance(error, DomainError):
        logger.error("run %s: unexpected error", run.pk, exc_info=error)
        error = InternalError(error)
    outcome = {"error": error.message[:MAX_ERROR], "code": error.code}
    try:
        end_as(run, RunState.FAILED, outcome, worked_ms=worked_ms)
    except AWAY:
        raise
    except Exception:  # what its traces say of tokens and costs can't be added up
        logger.exception("run %s: it is closed without what it used", run.pk)
        end_as(run, RunState.FAILED, outcome, worked_ms=worked_ms, used=Used())


def end_as(
    run: WorkflowRun, status: RunState, outcome: Mapping[str, Any], *, worked_ms: int, used: Used | None = None
) -> bool:
    """Close the run, here and in the run log, in one transaction. Nothing happens, and False is returned, when the
    claim is lost."""
    try:
        with transaction.atomic():
            hold(run.pk, run.claim)
            close(run, status, outcome, worked_ms=worked_ms, used=used)
    except LostClaimError:
        return False
    wakeups.give(run.pk)
    return True


def close(
    run: WorkflowRun,
    status: RunState,
    outcome: Mapping[str, Any],
    *,
    worked_ms: int = 0,
    used: Used | None = None,
) -> None:
    """In a transaction that holds the run: it is over, and so are its attempts that were under way."""
    now = timezone.now()
    under_way = StepAttempt.objects.filter(run_id=run.pk, ended_at=None)
    left = AttemptState.CANCELLED if status == RunState.CANCELLED else AttemptState.INTERRUPTED
    under_way.update(status=left, ended_at=now, changed_at=now)
    WorkflowRun.objects.filter(pk=run.pk).update(
        status=status,
        owner=None,
        due_at=None,
        waits_for="",
        worked_ms=F("worked_ms") + worked_ms,
        ended_at=now,
        changed_at=now,
        forget_at=now + keeping(run.workspace_id),
        **outcome,
    )
    traces = StepAttempt.objects.filter(run_id=run.pk, trace__isnull=False).order_by("id")
    known = known_of(used) if used else used_by(traces.values_list("trace", flat=True))
    close_log(run.pk, outcome.get("error"), run.worked_ms + worked_ms, known)


def close_log(run_id: uuid.UUID, error: str | None, worked_ms: int, known: Mapping[str, Any]) -> None:
    """Close the run's entry in the run log. How long it worked counts, and not how long it waited."""
    opened = log.OpenRun(run_id, started=0.0, stopped=max(worked_ms, 1) / 1000)
    if error is None:
        log.finish(opened, **known)
    else:
        log.fail(opened, error, **known)


def known_of(used: Used) -> dict[str, Any]:
    """What the models of the run used, for the run log: tokens and cost in all, and the last provider and model."""
    return {
        "provider": used.provider,
        "model": used.model,
        "prompt_tokens": used.prompt_tokens if used.calls else None,
        "output_tokens": used.output_tokens if used.calls else None,
        "cost_usd": used.cost_usd,
    }


def keeping(workspace_id: str) -> timedelta:
    """How long a run's texts are kept once it is over."""
    days = Workspace.objects.filter(pk=workspace_id, keep_content=True).values_list("content_days", flat=True).first()
    return timedelta(hours=settings.PROMPTOPS_WORKFLOW_TEXT_HOURS) if days is None else timedelta(days=days)


def used_by(traces: Any) -> dict[str, Any]:
    """The same of a run that nobody interpreted to its end."""
    models: list[Mapping[str, Any]] = [trace for trace in traces if trace and "provider" in trace]

    def total(name: str) -> Any:
        counts = [trace[name] for trace in models if trace.get(name) is not None]
        return sum(counts) if counts else None

    return {
        "provider": models[-1]["provider"] if models else "",
        "model": models[-1].get("model", "") if models else "",
        "prompt_tokens": total("prompt_tokens"),
        "output_tokens": total("output_tokens"),
    }
