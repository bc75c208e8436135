"""Runs a workflow for a request.

The request waits for its run, unless it asked for one in the background. A run that takes long, or that has to wait for
somebody or for a time, goes on in the background when the request is answered.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from agents.providers import registry
from agents.transport.outbound import check_base_url
from governance.access.actors import Actor
from governance.core.db import AWAY, later, let_go
from governance.core.errors import ConflictError, DomainError, InvalidInputError
from governance.runs import slots
from workflows.definition import parsing, versions
from workflows.engine import segments, transitions
from workflows.engine.leases import LeaseLostError, local
from workflows.engine.transitions import KeyTakenError, Outcome
from workflows.models import AttemptState, RunState, StepAttempt, Workflow, WorkflowRun
from workflows.runs import control
from workflows.steps.base import InternalError, OwnCall

logger = logging.getLogger("promptops.workflows")


@dataclass(frozen=True, slots=True)
class Answer:
    """A run that is over and went well (200), or goes on (202)."""

    status: int
    body: dict[str, Any]


def run(
    *,
    actor: Actor,
    workflow: Workflow,
    variables: Mapping[str, Any],
    strict: bool = False,
    unit: str | None = None,
    version: str | None = None,
    background: bool = False,
    idempotency_key: str = "",
    api_key: str | None = None,
    base_url: str | None = None,
) -> Answer:
    """Run `workflow` once: `{"output", "steps", "run_id"}` with one entry a step, and `outputs` if it declares some.

    Or `{"run_id", "status"}` of a run that goes on in the background: since it was to, since it takes long, or since it
    waits.

    `version` is `draft`, `live` or a label; by default the live version, else the draft. `api_key` and `base_url` are
    for the run's model steps; they are not kept, so that such a run is none for the background.

    Raises the failed step's DomainError with the trace so far and the run's id in its body.
    """
    wishes = {"variables": variables, "strict": strict, "unit": unit, "version": version, "background": background}
    own_call = _own_call(api_key, base_url, background=background)
    if base_url is not None:
        wishes["base_url"] = base_url
    digest = control.digest_of(wishes) if idempotency_key else ""
    if idempotency_key:
        repeated = control.find_repeated(actor=actor, workflow=workflow, key=idempotency_key, body_digest=digest)
        if repeated is not None:
            return answer_of(repeated)
    values: dict[str, Any] = {
        **frozen(workflow, variables, version),
        "strict": strict,
        "unit": unit,
        "idempotency_key": idempotency_key,
        "body_digest": digest,
    }
    if own_call is not None:
        values["own_call"] = True
    try:
        if background:
            return _accepted(control.start(actor=actor, workflow=workflow, **values))
        with slots.take(actor) as slot:
            segment = _start(actor, workflow, values, own_call)
            slot.keep_until(segment.when_done)
        return _wait_for(segment)
    except KeyTakenError:
        repeated = control.find_repeated(actor=actor, workflow=workflow, key=idempotency_key, body_digest=digest)
        if repeated is None:
            raise ConflictError("another request with this Idempotency-Key was quicker, and its run is gone") from None
        return answer_of(repeated)


def _own_call(api_key: str | None, base_url: str | None, *, background: bool) -> OwnCall | None:
    if api_key is None and base_url is None:
        return None
    if background:
        name = "base_url" if api_key is None else "api_key"
        raise InvalidInputError.of(name, "it is not kept, so that a run in the background can't have one")
    if base_url is not None:
        check_base_url(base_url)
    return OwnCall(api_key=api_key, base_url=base_url)


def frozen(workflow: Workflow, variables: Mapping[str, Any], version: str | None = None) -> dict[str, Any]:
    """What a run starts with and keeps to its end: the definition, its version's label, and the variables.

    Raises InvalidInputError for variables that the definition does not take, for a version that there is not, and for
    one without steps.
    """
    label, stored = versions.choose(workflow, version)
    settled = parsing.settle(parsing.load_to_run(stored).inputs, variables)
    return {"definition": stored, "version": label, "variables": dict(settled)}


def _accepted(run: WorkflowRun) -> Answer:
    """The answer for a run that goes on in the background."""
    return Answer(202, {"run_id": str(run.pk), "status": run.status})


def answer_of(run: WorkflowRun) -> Answer:
    """What a request for a run that there is already gets: what the first one would get now."""
    if run.is_active:
        return _accepted(run)
    steps = _trace_of(run)
    if run.status == RunState.SUCCEEDED:
        return Answer(200, _body(run, run.output, run.outputs, steps))
    raise EndedError(run, steps)


class EndedError(DomainError):
    """A run that was asked for again has failed, or was cancelled."""

    status = 502

    def __init__(self, run: WorkflowRun, steps: list[dict[str, Any]]) -> None:
        super().__init__(run.error, extra={"steps": steps, "run_id": str(run.pk)})
        self.code = run.code or "step_failed"  # type: ignore[misc]  # each has its own


def _body(run: WorkflowRun, output: Any, outputs: Any, steps: list[dict[str, Any]]) -> dict[str, Any]:
    body = {"output": output, "steps": steps, "run_id": str(run.pk)}
    return body if outputs is None else {**body, "outputs": outputs}


def _start(actor: Actor, workflow: Workflow, values: Mapping[str, Any], own_call: OwnCall | None) -> segments.Segment:
    """Start a run whose first segment is executed here. Raises KeyTakenError."""
    registry.warm_up()  # before the run's clock starts
    with transaction.atomic():
        row = control.open_run(actor=actor, workflow=workflow, **values)
        transitions.start_running(row)
    try:
        return segments.Segment(row, actor, own_call=own_call)
    except Exception as error:  # nobody else may go on with it: the client is told that it failed
        known = segments.refuse(row, error)
        known.extra.update(steps=[], run_id=str(row.pk))
        raise known from error


def _wait_for(segment: segments.Segment) -> Answer:
    """Work on a run on the request's own thread, until it takes too long: then it is left to a thread of its own."""
    run = segment.run
    let_go()  # no connection is needed while a model is waited for
    if not segment.wait(settings.PROMPTOPS_WORKFLOW_DEADLINE):
        try:
            threading.Thread(target=_settle_later, args=[segment], name="workflow", daemon=True).start()
            return _accepted(run)
        except RuntimeError as error:  # the system has no thread for it: somebody has to serve the work to its end
            logger.warning("run %s: its request goes on waiting for it: %s", run.pk, error)
    try:
        result = segment.settle()
    except AWAY:
        if not run.idempotency_key:  # the client can't ask for this run again: it must not go on
            local.add(segment)
            later(_fail, segment)
        raise
    if result is None:  # it waits, or another process has it, or somebody cancelled it
        run.refresh_from_db()
        return answer_of(run)
    if result.error is not None:
        result.error.extra.update(steps=result.trace, run_id=str(run.pk))
        raise result.error
    return Answer(200, _body(run, result.output, result.outputs, result.trace))


def _settle_later(segment: segments.Segment) -> None:
    try:
        segment.settle()
    except AWAY as error:
        logger.warning("run %s: the database is away, it is left for later: %s", segment.run.pk, error)
    finally:
        connection.close()


def _fail(segment: segments.Segment) -> None:
    outcome = Outcome.failure("the database was away when it ended", InternalError.code)
    try:
        transitions.end(segment.run, outcome, worked_ms=segment.worked_ms)
    except AWAY:
        raise  # it is tried again
    except LeaseLostError:
        pass
    except Exception:
        logger.exception("run %s: it could not be closed, and is left for later", segment.run.pk)
    local.remove(segment)


def _trace_of(run: WorkflowRun) -> list[dict[str, Any]]:
    """The trace of a run that is over as the interpreter tells it: one entry a step, by its last attempt."""
    rows = StepAttempt.objects.filter(run_id=run.pk, superseded=False, path=F("step_id")).order_by("id")
    last = {row.path: row for row in rows}
    named = {step["id"] for step in (run.definition or {}).get("steps", []) if "id" in step}
    return [_entry(row, named=row.step_id in named) for row in last.values()]


def _entry(row: StepAttempt, *, named: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": row.name, "type": row.type}
    if named:
        entry["id"] = row.step_id
    if row.number > 1:
        entry["attempts"] = row.number
    entry |= {"output": row.output, **(row.trace or {})}
    if row.status == AttemptState.SKIPPED:
        entry["skipped"] = True
    if row.error is not None:
        entry["error"] = row.error
    return entry
