"""The run log: a run is opened before the call and closed whatever happens. Runs change no revision."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from governance import audit
from governance.access.actors import Actor
from governance.core import processes, registry
from governance.core.models import ServerProcess
from governance.history import counts
from governance.runs import rollups
from governance.runs.models import Run, RunContent, RunFeedback, RunStatus
from governance.runs.usage import TokenUsage
from governance.tenancy.models import Workspace

logger = logging.getLogger("promptops.runs")

#: A run without a server process, such as a command's, counts as interrupted after this long.
ORPHANED_AFTER = timedelta(hours=6)

SWEPT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RunSubject(registry.Entry):
    """A model whose rows are run.

    `word` is the `source` of its runs, whose `ref_id` is then a row's id. The word `prompt` goes with `prompt_id`.
    """

    word: str
    model: type[Model]


@dataclass(frozen=True, slots=True)
class ActiveRuns(registry.Entry):
    """`ids` is a subquery of the ids of runs that are not lost with their process: the app continues them itself."""

    ids: Callable[[], QuerySet[Any, Any]]


@dataclass(slots=True)
class OpenRun:
    """A run under way. `id` is what answers carry as `run_id`. Its clock stops when it is closed.

    `row` is its row as it was opened; None where that was somewhere else, so that it is read when the run is closed.
    """

    id: uuid.UUID
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None
    row: Run | None = field(default=None, repr=False)

    @property
    def elapsed_ms(self) -> int:
        until = time.monotonic() if self.stopped is None else self.stopped
        return round((until - self.started) * 1000)

    def stop(self) -> None:
        """The work is done: what closing the run takes does not count. Only the first time matters."""
        self.stopped = self.stopped or time.monotonic()


def start(
    *,
    actor: Actor,
    workspace_id: str,
    source: str,
    ref_id: uuid.UUID | None = None,
    ref_key: str = "",
    prompt_id: uuid.UUID | None = None,
    parent_id: uuid.UUID | None = None,
    environment: str = "",
    version: str = "",
    variant: str = "",
    provider: str = "",
    model: str = "",
) -> OpenRun:
    """Open a run.

    `source` is playground, agent, workflow or model (a call that is a step), `ref_key` the key of what runs,
    `parent_id` the run that started it.
    """
    run = Run.objects.create(
        actor=actor.name,
        actor_identity=actor.identity,
        workspace_id=workspace_id,
        source=source,
        ref_id=ref_id,
        ref_key=ref_key,
        prompt_id=prompt_id,
        parent_id=parent_id,
        process_id=processes.current,
        environment=environment,
        version=version,
        variant=variant,
        provider=provider,
        model=model,
    )
    return OpenRun(run.pk, row=run)


def finish(
    run: OpenRun,
    *,
    provider: str,
    model: str,
    usage: TokenUsage | None = None,
    prompt: str | None = None,
    output: str | None = None,
    **fields: Any,
) -> None:
    """Close a run that went well. `usage` is None for a run that called no model.

    `prompt` and `output` are kept where the workspace asks for it. `fields` are further columns.
    """
    _close(run, RunStatus.OK, usage, prompt, output, provider=provider, model=model, **fields)


def fail(
    run: OpenRun,
    error: str,
    *,
    usage: TokenUsage | None = None,
    prompt: str | None = None,
    output: str | None = None,
    **fields: Any,
) -> None:
    """Close a run that failed. `usage` is what its calls of models used before, `fields` are further columns."""
    _close(run, RunStatus.ERROR, usage, prompt, output, error=error[:1000], **fields)


@transaction.atomic
def _close(
    run: OpenRun, status: RunStatus, usage: TokenUsage | None, prompt: str | None, output: str | None, **fields: Any
) -> None:
    run.stop()
    # Only a running run can be closed: a sweep that gave it up and the process that ran it can't both decide.
    values = {"status": status, "latency_ms": run.elapsed_ms, **(usage.fields if usage else {}), **fields}
    if not Run.objects.filter(pk=run.id, status=RunStatus.RUNNING).update(**values):
        return
    ended = run.row
    if ended is None:
        ended = Run.objects.get(pk=run.id)
    else:  # as it was written: reading it again would cost as much as the rest
        columns = {column.name: column for column in Run._meta.concrete_fields}
        for name, value in values.items():
            setattr(ended, name, columns[name].to_python(value))
    rollups.add([ended])
    if prompt is None and output is None:
        return
    days = content_days(ended.workspace_id)
    if days is not None:
        until = timezone.now() + timedelta(days=days)
        RunContent.objects.create(run=ended, prompt=prompt or "", output=output or "", delete_after=until)


def content_days(workspace_id: str) -> int | None:
    """For how many days the workspace keeps the texts of runs; None when it keeps none."""
    keeping = Workspace.objects.filter(pk=workspace_id, keep_content=True)
    return keeping.values_list("content_days", flat=True).first()


@transaction.atomic
def reopen(run_id: uuid.UUID) -> None:
    """Set an ended run to running again: it is taken out of the statistics, and counted when it ends again."""
    over = Run.objects.select_for_update().filter(pk=run_id).exclude(status=RunStatus.RUNNING).first()
    if over is None:
        return
    rollups.take_back(over)
    RunContent.objects.filter(run=over).delete()
    over.status, over.error, over.latency_ms = RunStatus.RUNNING, "", None
    over.save(update_fields=["status", "error", "latency_ms"])


def orphans() -> set[uuid.UUID]:
    """The ids of running runs that nothing will close: their process is gone, or they had none and are old."""
    running = Run.objects.filter(status=RunStatus.RUNNING).order_by()
    for active in registry.entries(ActiveRuns):
        running = running.exclude(pk__in=active.ids())
    of_dead_processes = running.filter(process_id__isnull=False).exclude(
        process_id__in=ServerProcess.objects.values("pk")
    )
    old = running.filter(process_id__isnull=True, created_at__lt=timezone.now() - ORPHANED_AFTER)
    return {*of_dead_processes.values_list("pk", flat=True), *old.values_list("pk", flat=True)}


def interrupt(run_ids: set[uuid.UUID]) -> int:
    """Close runs whose process died. Returns how many that were; those that ended meanwhile stay as they are."""
    closed = 0
    ids = sorted(run_ids)
    for first in range(0, len(ids), SWEPT_AT_ONCE):
        with transaction.atomic():
            running = Run.objects.select_for_update().filter(
                pk__in=ids[first : first + SWEPT_AT_ONCE], status=RunStatus.RUNNING
            )
            ended = list(running.order_by("pk"))
            for run in ended:
                run.status = RunStatus.INTERRUPTED
                run.error = "interrupted: the server process that ran it ended before it did"
                run.save(update_fields=["status", "error"])
            rollups.add(ended)
            closed += len(ended)
    return closed


def forget_content() -> int:
    """Delete the texts of runs whose days are over; returns how many."""
    over = list(RunContent.objects.filter(delete_after__lt=timezone.now()).values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    if over:  # to delete nothing takes SQLite's write lock all the same
        RunContent.objects.filter(pk__in=over).delete()
    return len(over)


class Sweep:
    """The periodic work on the logs: closes orphaned runs, deletes texts that are over, counts the hours that ended.

    A run is closed when it was found orphaned twice in a row: a process that could not reach the database for a while
    is missing from it for a moment, and so are its runs.
    """

    def __init__(self) -> None:
        self._suspects: set[uuid.UUID] = set()
        self._counted: datetime | None = None  # up to when

    def __call__(self) -> None:
        found = orphans()
        confirmed, self._suspects = found & self._suspects, found
        if confirmed:
            logger.warning("%d runs were interrupted", interrupt(confirmed))
        forget_content()
        if (settled := counts.settled()) != self._counted:
            counts.count()
            self._counted = settled


@transaction.atomic
def rate(*, run: Run, actor: Actor, score: float, comment: str = "") -> RunFeedback:
    """Rate a run from -1 to 1. It replaces the former rating by the same actor."""
    rating = {"score": score, "comment": comment}
    Run.objects.select_for_update(no_key=True).filter(pk=run.pk).first()  # two ratings by one actor wait for each other
    former = RunFeedback.objects.filter(run=run, actor_identity=actor.identity).first()
    old = {name: getattr(former, name) if former else None for name in rating}
    if old == rating and former is not None:
        return former
    feedback, _ = RunFeedback.objects.update_or_create(
        run=run, actor_identity=actor.identity, defaults={"actor": actor.name, **rating}
    )
    audit.record(
        actor=actor,
        action="feedback",
        resource="run",
        resource_id=run.pk,
        key=run.ref_key,
        summary=f"Rated a run {run.ref_key or run.source}: {score:g}",
        workspace_id=run.workspace_id,
        changes={name: {"old": old[name], "new": rating[name]} for name in rating if old[name] != rating[name]},
    )
    return feedback
