"""Runs a workflow for a request: here and now where that is quick, else in the background."""

import concurrent.futures
import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from agents.providers import registry
from agents.transport import bridge
from agents.transport.outbound import check_base_url
from governance.access.actors import Actor
from governance.core import processes
from governance.core.db import AWAY, later
from governance.core.errors import ConflictError, DomainError, InvalidInputError
from governance.runs import log, slots
from workflows.definition import parsing, versions
from workflows.engine import segments, wakeups
from workflows.engine.durable_journal import LostClaimError, RunJournal, row_of
from workflows.engine.interpreter import Result, Used, interpret
from workflows.engine.leases import Held, held
from workflows.models import AttemptState, RunState, StepAttempt, Workflow, WorkflowRun
from workflows.runs import control
from workflows.steps import RunContext
from workflows.steps.base import InternalError, OwnCall
from workflows.steps.journal import Attempt, Parked

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
            started = control.start(actor=actor, workflow=workflow, **values)
            return going_on(started)
        with slots.take(actor) as places:
            here = _Here(actor, workflow, values, own_call)
            places.keep_until(here.working.when_done)
        return here.answer()
    except control.KeyTakenError:
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


def going_on(run: WorkflowRun) -> Answer:
    return Answer(202, {"run_id": str(run.pk), "status": run.status})


def answer_of(run: WorkflowRun) -> Answer:
    """What a request for a run that there is already gets: what the first one would get now."""
    if run.going:
        return going_on(run)
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


class _Here:
    """A run on the request's own thread, until it takes too long."""

    def __init__(self, actor: Actor, workflow: Workflow, values: Mapping[str, Any], own_call: OwnCall | None) -> None:
        self.actor = actor
        self.began = time.monotonic()
        registry.warm_up()
        loaded = parsing.load(values["definition"])
        with transaction.atomic():
            opened = log.start(
                actor=actor,
                source="workflow",
                workspace_id=workflow.workspace_id,
                ref_id=workflow.pk,
                ref_key=workflow.key,
                version=values["version"],
            )
            self.row = control.new(opened, actor=actor, workflow=workflow, **values)
            self.row.status, self.row.claim, self.row.owner = RunState.RUNNING, 1, processes.current
            self.row.started_at = timezone.now()
            self.kept = bool(values["idempotency_key"])
            if self.kept:  # a repetition has to find it
                control.insert(self.row)
        self.journal = RunJournal()
        if self.kept:
            self.journal.load(self.row.pk, self.row.claim)
        context = RunContext(
            actor=actor,
            workspace_id=workflow.workspace_id,
            run_id=self.row.pk,
            workflow_id=workflow.pk,
            workflow_key=workflow.key,
            variables=values["variables"],
            strict=values["strict"],
            unit=values["unit"],
            own_call=own_call,
        )
        self.working = bridge.Working(interpret, loaded, context, self.journal)

    def answer(self) -> Answer:
        if not connection.in_atomic_block:
            connection.close()  # it is not needed while a model is waited for
        try:
            # Who looks for runs that nobody works on has to know of this one, if it has a row already.
            with held.holding(Held(self.row.pk, self.row.claim, self.working)) if self.kept else nullcontext():
                if not self.working.wait(settings.PROMPTOPS_WORKFLOW_DEADLINE):
                    return self._leave_to_a_thread()
                try:
                    result = self.working.result()
                except Parked as parked:
                    return self._park(parked)
            if not self._close(*segments.outcome_of(result), used=result.used):
                return self._as_it_is()
        except (concurrent.futures.CancelledError, LostClaimError):
            return self._as_it_is()
        except AWAY:
            _wind_up(self.working)
            if not self.kept:  # one that has a row is taken up again
                later(self._fail, "the database was away when it ended")
            raise
        except Exception as error:
            _wind_up(self.working)
            logger.exception("run %s: unexpected error", self.row.pk)
            broken = InternalError(error)
            try:
                self._fail(broken.message)
            except AWAY:
                later(self._fail, broken.message)
            steps = {entry.path: _bare(entry) for entry in self.journal.entries if entry.path == entry.step.id}
            broken.extra.update(steps=list(steps.values()), run_id=str(self.row.pk))
            raise broken from error
        if result.error is not None:
            result.error.extra.update(steps=result.trace, run_id=str(self.row.pk))
            raise result.error
        return Answer(200, _body(self.row, result.output, result.outputs, result.trace))

    def _as_it_is(self) -> Answer:
        """The answer for a run that was cancelled, or that another process has: from its row."""
        self.row.refresh_from_db()
        return answer_of(self.row)

    @property
    def worked_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    def _leave_to_a_thread(self) -> Answer:
        """The request is answered; its work goes on where it is, and is kept step by step from now on."""
        if not self.kept:
            self.working.do(self.journal.tie, self.row.pk, self.row.claim, self._write)
            self.kept = True
        thread = threading.Thread(
            target=_go_on, args=(self.row, self.working, self.began), name="workflow", daemon=True
        )
        thread.start()
        return going_on(self.row)

    def _park(self, parked: Parked) -> Answer:
        if not self.kept:
            self._write(self.journal.entries)
            self.kept = True
        segments.park(self.row, self.worked_ms, parked)
        self.row.refresh_from_db()
        return going_on(self.row)

    def _write(self, entries: list[Attempt]) -> None:
        """The run and what was done so far, in one go."""
        with transaction.atomic():
            self.row.changed_at = timezone.now()
            self.row.save(force_insert=True)
            StepAttempt.objects.bulk_create([row_of(self.row.pk, entry, entry.number) for entry in entries])

    def _fail(self, error: str) -> None:
        """Close the run though what it did can't be kept."""
        self._close(RunState.FAILED, {"error": error, "code": InternalError.code}, trace=False)

    def _close(
        self, status: RunState, outcome: Mapping[str, Any], used: Used | None = None, *, trace: bool = True
    ) -> bool:
        """Returns False when the run is not ours any more."""
        if self.kept:
            return segments.end_as(self.row, status, outcome, worked_ms=self.worked_ms, used=used)
        row, now = self.row, timezone.now()
        row.status, row.owner, row.worked_ms, row.ended_at = status, None, self.worked_ms, now
        row.forget_at = now + segments.keeping(row.workspace_id)
        for name, value in outcome.items():
            setattr(row, name, value)
        known = segments.known_of(used) if used else {}
        with transaction.atomic():
            self._write(self.journal.entries if trace else [])
            segments.close_log(row.pk, outcome.get("error"), row.worked_ms, known)
        wakeups.give(row.pk)
        return True


def _go_on(row: WorkflowRun, working: "bridge.Working[Result]", began: float) -> None:
    try:
        segments.finish(row, working, began=began)
    except AWAY as error:
        logger.warning("run %s: the database is away, it is left for later: %s", row.pk, error)
    finally:
        connection.close()


def _wind_up(working: "bridge.Working[Result]") -> None:
    """Stop the work. What it still has to write is done on a thread of its own, since the request's leaves: else the
    work would wait for that for ever, with its place among the runs and with the calls that it has open."""
    working.cancel()

    def serve() -> None:
        try:
            working.wait()
        finally:
            connection.close()

    if not working.wait(0):
        threading.Thread(target=serve, name="workflow", daemon=True).start()


def _bare(attempt: Attempt) -> dict[str, Any]:
    """The trace entry of an attempt, without an output that can't be written as JSON."""
    entry = {"name": attempt.step.name, "type": attempt.step.type, "output": None}
    try:
        output = attempt.done and attempt.done.output
        entry["output"] = json.loads(json.dumps(output, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        entry["error"] = "what it made can't be told"
    return entry if attempt.error is None else {**entry, "error": attempt.error}


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
