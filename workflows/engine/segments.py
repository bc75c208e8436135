"""Segments: a run is executed from where it starts or goes on until it ends or has to wait.

A request that waits for its run and a worker of the queue execute segments in the same way.
"""

import concurrent.futures
import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.db import close_old_connections, connection

from agents.providers import registry
from agents.transport import bridge
from governance.access.actors import Actor
from governance.core.db import AWAY
from governance.core.errors import DomainError
from workflows.definition import parsing
from workflows.engine import actors, transitions
from workflows.engine.durable_journal import DurableJournal, ReleasedError
from workflows.engine.interpreter import Result, interpret
from workflows.engine.leases import Lease, LeaseLostError, local
from workflows.engine.transitions import Outcome
from workflows.engine.usage import RunUsage
from workflows.models import RunState, WorkflowRun
from workflows.steps import RunContext
from workflows.steps.base import InternalError, OwnCall
from workflows.steps.journal import Attempt, Parked

logger = logging.getLogger("promptops.workflows")

#: How often a run may be lost at one step, mostly with its process; after that the step is taken for the cause.
MAX_CRASHES = 10


def work(run_id: uuid.UUID, number: int) -> None:
    """Execute a queued segment, on this thread. Whatever goes wrong, the run is ended, put aside or left to another."""
    try:
        run = transitions.lease(run_id, number)
        if run is not None:
            go_on(run)
    except AWAY as error:
        # The supervisor finds a run that nobody works on, and offers it again.
        logger.warning("run %s: the database is away, it is left for later: %s", run_id, error)
        connection.close()
    finally:
        if not connection.in_atomic_block:
            close_old_connections()


def go_on(run: WorkflowRun) -> None:
    """Execute a run that this process has leased. Raises only what says that the database is away."""
    try:
        actor = actors.restore(run.bounds, workspace_id=run.workspace_id)
        if run.crash_count >= MAX_CRASHES:
            raise DomainError(f"given up: it was lost {run.crash_count} times while the same step was made")
        if run.own_call:
            raise DomainError("it had an api_key or a base_url of its own, which is not kept: start it anew")
        segment = Segment(run, actor)
    except AWAY:
        raise
    except Exception as error:
        refuse(run, error)
        return
    segment.settle()


def refuse(run: WorkflowRun, error: Exception) -> DomainError:
    """End a run that this process has leased and can't work on; returns the error as people are told of it."""
    known = _as_domain_error(run, error)
    try:
        transitions.end(run, Outcome.failure(known.message, known.code), worked_ms=0)
    except LeaseLostError:
        pass
    return known


class Segment:
    """A segment of a run that this process has leased, under way from when this is made.

    `own_call` is the key and the address that a request brought for the run's models.
    """

    def __init__(self, run: WorkflowRun, actor: Actor, *, own_call: OwnCall | None = None) -> None:
        self.run = run
        self.lease = Lease.of(run)
        self._began = time.monotonic()
        self._remaining: Callable[[], None] | None = None  # what the journal has yet to write
        self._journal = DurableJournal(
            self.lease,
            # A run that only this process can go on with is not left to another one.
            is_stopping=local.is_stopping if own_call is None else lambda: False,
            has_crashed=run.crash_count > 0,
        )
        if run.fencing_token > 1:
            self._journal.load()
        registry.warm_up()
        self._definition = parsing.load(run.definition)
        context = RunContext(
            actor=actor,
            workspace_id=run.workspace_id,
            run_id=run.pk,
            workflow_id=run.workflow_id,
            workflow_key=run.key,
            variables=run.variables,
            strict=run.strict,
            unit=run.unit,
            own_call=own_call,
        )
        self._working = bridge.Working(self._interpret, context)
        local.add(self)

    async def _interpret(self, context: RunContext) -> Result:
        try:
            return await interpret(self._definition, context, self._journal)
        finally:
            self._remaining = await self._journal.close()

    @property
    def worked_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def wait(self, seconds: float) -> bool:
        """Serve the work on this thread for at most so many seconds; whether it is done."""
        return self._working.wait(seconds)

    def when_done(self, call: Callable[[], None]) -> None:
        """Call that once the work is over, however it ends, on any thread."""
        self._working.when_done(call)

    def cancel(self) -> None:
        """Stop the work where it is. On any thread."""
        self._working.cancel()

    def settle(self) -> Result | None:
        """Wait for the work on this thread, and make the transition that follows from it.

        What came of the run; None when it is not over, or over by somebody else. Raises only what says that the
        database is away: then the run is left as it is, and the supervisor finds it.
        """
        try:
            return self._settle()
        except LeaseLostError:
            logger.info("run %s: another process has it, or it is over", self.run.pk)
            return None
        finally:
            local.remove(self)

    def _settle(self) -> Result | None:
        try:
            result = self._working.result()
            transitions.end(
                self.run, outcome_of(result), usage=result.usage.for_log, worked_ms=self.worked_ms, writes=self._write
            )
            return result
        except Parked as parked:
            transitions.park(
                self.run, path=parked.path, until=parked.until, worked_ms=self.worked_ms, writes=self._write
            )
        except (ReleasedError, concurrent.futures.CancelledError):
            transitions.release(self.run, worked_ms=self.worked_ms, writes=self._write)
        except (LeaseLostError, *AWAY):
            raise
        except Exception as error:
            return self._fail(error)
        return None

    def _fail(self, error: Exception) -> Result:
        """End the run for a reason that is no step's. What the journal has yet to write may be that reason."""
        known = _as_domain_error(self.run, error)
        failure = Outcome.failure(known.message, known.code)
        try:
            transitions.end(self.run, failure, worked_ms=self.worked_ms)
        except (LeaseLostError, *AWAY):
            raise
        except Exception:  # what its attempts say of tokens can't be added up
            logger.exception("run %s: it is closed without what it used", self.run.pk)
            transitions.end(self.run, failure, worked_ms=self.worked_ms, usage=RunUsage().for_log)
        entries = {entry.path: _entry(entry) for entry in self._journal.entries if entry.path == entry.step.id}
        return Result(trace=list(entries.values()), usage=RunUsage(), error=known)

    def _write(self) -> None:
        if self._remaining is not None:
            self._remaining()


def outcome_of(result: Result) -> Outcome:
    if result.error is None:
        return Outcome(status=RunState.SUCCEEDED, output=result.output, outputs=result.outputs)
    name = result.trace[-1]["name"] if result.trace else ""
    return Outcome.failure(f"{name}: {result.error.message}" if name else result.error.message, result.error.code)


def _as_domain_error(run: WorkflowRun, error: Exception) -> DomainError:
    if isinstance(error, DomainError):
        return error
    logger.error("run %s: unexpected error", run.pk, exc_info=error)
    return InternalError(error)


def _entry(attempt: Attempt) -> dict[str, Any]:
    """The trace entry of an attempt, without an output that can't be written as JSON."""
    entry = {"name": attempt.step.name, "type": attempt.step.type, "output": None}
    try:
        output = attempt.done and attempt.done.output
        entry["output"] = json.loads(json.dumps(output, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        entry["error"] = "its output is no JSON value"
    return entry if attempt.error is None else {**entry, "error": attempt.error}
