"""Runs as they go, for those who watch: as server-sent events, and on the event stream.

What is told is read from the rows. A hint only says that it is time to look; who misses one looks again within a
second, whichever process works on the run.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone

from governance.db import on_thread
from governance.realtime.protocol import encode
from governance.realtime.runtime import Runtime
from workflows import hints
from workflows.models import StepAttempt, WorkflowRun
from workflows.run_serializers import AttemptSerializer, WorkflowRunRowSerializer

logger = logging.getLogger("promptops.workflows")

TICK = 1.0  # seconds between two looks without a hint
GAP = 0.1  # seconds between two looks with hints
SILENCE = 15.0  # seconds after which a comment is sent, since proxies close a connection on which nothing comes
#: What was written so long before the last look may have been committed after it.
OVERLAP = timedelta(seconds=5)
GROUP = "promptops.runs"


class Bell:
    """Hints, from whatever thread, for one waiter on an event loop."""

    def __init__(self, only: uuid.UUID | None = None) -> None:
        self._only = only
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def __enter__(self) -> "Bell":
        hints.listeners.append(self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        hints.listeners.remove(self._hear)

    def _hear(self, run_id: uuid.UUID) -> None:
        if self._only in (None, run_id):
            try:
                self._loop.call_soon_threadsafe(self._rung.set)
            except RuntimeError:
                pass  # the loop has ended

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within that time."""
        await asyncio.sleep(GAP)
        try:
            async with asyncio.timeout(seconds - GAP):
                await self._rung.wait()
        except TimeoutError:
            pass
        rang = self._rung.is_set()
        self._rung.clear()
        return rang


# --- server-sent events (WHATWG HTML, 9.2) --------------------------------------------------------------------------


def respond(run: WorkflowRun) -> StreamingHttpResponse:
    """The run from now on, as a stream of events that ends with it."""
    response = StreamingHttpResponse(_frames(run.pk), content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would keep it back until it is whole
    return response


async def _frames(run_id: uuid.UUID) -> AsyncIterator[bytes]:
    seen: dict[int, datetime] = {}
    told: datetime | None = None
    silent = 0.0
    with Bell(run_id) as bell:
        while True:
            run, steps = await on_thread(_look, run_id, seen)
            if run is None:
                return  # it was deleted
            for step in steps:
                yield _event("step", step)
            if run["changed_at"] != told or steps:
                told, silent = run["changed_at"], 0.0
                if not run["over"]:
                    yield _event("run", run["row"])
            if run["over"]:
                yield _event("end", run["row"])
                return
            if silent >= SILENCE:
                silent = 0.0
                yield b": still at work\n\n"
            await bell.wait(TICK)
            silent += TICK


def _look(run_id: uuid.UUID, seen: dict[int, datetime]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    run = WorkflowRun.objects.filter(pk=run_id).first()
    if run is None:
        return None, []
    changed = dict(StepAttempt.objects.filter(run_id=run_id).values_list("pk", "changed_at"))
    new = [pk for pk, at in changed.items() if seen.get(pk) != at]
    seen.update(changed)
    steps: Any = StepAttempt.objects.filter(pk__in=new).order_by("id")
    over = not run.going
    row = dict(WorkflowRunRowSerializer(run).data)
    if over:
        row = {**row, "output": run.output}
    return {"changed_at": run.changed_at, "over": over, "row": row}, list(AttemptSerializer(steps, many=True).data)


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


# --- the event stream -----------------------------------------------------------------------------------------------


async def watch(runtime: Runtime) -> None:
    """Forever: tell the sockets of this process that asked for runs what changed in theirs. No texts."""
    told: dict[Any, datetime] = {}
    since: datetime | None = None
    with Bell() as bell:
        if settings.REDIS_URL:
            runtime.spawn(_listen(bell))
            runtime.spawn(announce())
        while True:
            try:
                wanted = runtime.hub.watching_runs()
                if not wanted:
                    told, since = {}, None
                elif since is None:
                    since = timezone.now()
                else:
                    began = timezone.now()
                    changed = await runtime.work(_changes, wanted, since - OVERLAP)
                    for key, at, workspace_id, environment, frame in changed:
                        if at > since - OVERLAP and told.get(key) != at:
                            told[key] = at
                            runtime.hub.tell_of_run(workspace_id, environment, encode(frame))
                    told = {key: at for key, at in told.items() if at > began - 2 * OVERLAP}
                    since = began
            except Exception as error:
                logger.warning("could not look for changed runs, trying again: %s", error)
            await bell.wait(TICK)


def _changes(workspaces: Iterable[str], since: datetime) -> list[tuple[Any, datetime, str, str | None, dict[str, Any]]]:
    """What changed since then: key, when, in which workspace, of which environment's token, and the frame."""
    found: list[tuple[Any, datetime, str, str | None, dict[str, Any]]] = []
    runs = WorkflowRun.objects.filter(workspace_id__in=workspaces, changed_at__gt=since)
    for run in runs.defer("definition", "variables", "output").order_by("changed_at"):
        frame = {
            "type": "workflow.run",
            "run_id": str(run.pk),
            "workflow_id": str(run.workflow_id),
            "key": run.key,
            "workspace": run.workspace_id,
            "status": run.status,
            "waits_for": run.waits_for,
        }
        found.append((run.pk, run.changed_at, run.workspace_id, run.bounds.get("environment"), frame))
    attempts = StepAttempt.objects.filter(run__workspace_id__in=workspaces, changed_at__gt=since)
    fields = ("pk", "changed_at", "run_id", "path", "step_id", "name", "type", "number", "status")
    place = ("run__workspace_id", "run__bounds", "run__workflow_id")
    for step in attempts.order_by("changed_at", "pk").values(*fields, *place):
        frame = {
            "type": "workflow.step",
            "run_id": str(step["run_id"]),
            "workflow_id": str(step["run__workflow_id"]),
            "workspace": step["run__workspace_id"],
            "path": step["path"],
            "id": step["step_id"],
            "name": step["name"],
            "step_type": step["type"],
            "attempt": step["number"],
            "status": step["status"],
        }
        environment = step["run__bounds"].get("environment")
        found.append((step["pk"], step["changed_at"], step["run__workspace_id"], environment, frame))
    return sorted(found, key=lambda change: change[1])


async def announce() -> None:
    """Forever: let the other processes know that a run changed here. At most a hint, and at most ten a second."""
    with Bell() as bell:
        while True:
            if await bell.wait(3600):
                try:
                    async with asyncio.timeout(1):
                        await get_channel_layer().group_send(GROUP, {"type": "run"})
                except Exception as error:
                    logger.warning("could not tell the other processes of a run: %s", error)


async def _listen(bell: Bell) -> None:
    layer = get_channel_layer()
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                await layer.receive(channel)
                bell.ring()
        except Exception as error:
            logger.warning("lost the hints of runs, listening again: %s", error)
            await asyncio.sleep(1)
