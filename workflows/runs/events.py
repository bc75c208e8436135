"""Runs as they go, for the sockets that asked for them; and the hints between processes.

What is told is read from the rows. A hint only says that it is time to look; who misses one looks again within a
second, whichever process works on the run.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.utils import timezone

from governance.realtime.protocol import encode
from governance.realtime.runtime import Runtime
from workflows.engine import wakeups
from workflows.engine.wakeups import OVERLAP, TICK, Notifier
from workflows.models import StepAttempt, WorkflowRun

logger = logging.getLogger("promptops.workflows")

GROUP = "promptops.runs"


async def watch(runtime: Runtime) -> None:
    """Forever: tell the sockets of this process that asked for runs what changed in theirs. No texts."""
    told: dict[Any, datetime] = {}
    since: datetime | None = None
    with Notifier() as notifier:
        if settings.REDIS_URL:
            runtime.spawn(_listen())
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
            await notifier.wait(TICK)


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
    with Notifier(remote=False) as notifier:
        while True:
            if await notifier.wait(3600):
                try:
                    async with asyncio.timeout(1):
                        await get_channel_layer().group_send(GROUP, {"type": "run"})
                except Exception as error:
                    logger.warning("could not tell the other processes of a run: %s", error)


async def _listen() -> None:
    layer = get_channel_layer()
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                await layer.receive(channel)
                wakeups.notify_remote()
        except Exception as error:
            logger.warning("lost the hints of runs, listening again: %s", error)
            await asyncio.sleep(1)
