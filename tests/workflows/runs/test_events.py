"""Runs as they go: on the event stream and as server-sent events."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from governance.realtime.frames import WorkflowRun
from governance.realtime.sockets import Socket
from governance.tenancy.models import Workspace
from tests.workflows.runs.test_runs import SHOUT, model, started, work_off
from workflows.runs import events

Make = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.django_db


def frames_of(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    async def read() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    text = asyncio.run(read()).decode()
    frames = [frame.split("\n", 1) for frame in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]


@pytest.mark.django_db(transaction=True)
def test_the_events_of_a_run_that_is_over_are_its_steps_and_its_end(viewer: APIClient, make_workflow: Make) -> None:
    run = started(viewer, make_workflow(model(), SHOUT), variables={"input": "x"})
    work_off()
    answer = viewer.get(f"/api/workflows/runs/{run}/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    frames = frames_of(answer)
    assert [name for name, _ in frames] == ["step", "step", "end"]
    assert [step["id"] for _, step in frames[:-1]] == ["ask", "shout"]
    assert frames[-1][1]["status"] == "succeeded"
    assert frames[-1][1]["output"] == frames[1][1]["output"]


def test_what_is_told_on_the_event_stream_holds_no_text(viewer: APIClient, make_workflow: Make) -> None:
    run = started(viewer, make_workflow(model(), SHOUT), variables={"input": "secret words"})
    work_off()
    changes = events._changes(["default"], timezone.now() - timedelta(minutes=1))
    frames = [json.loads(frame.encode()) for *_, frame in changes]
    assert {frame["type"] for frame in frames} == {"workflow.run", "workflow.step"}
    assert [frame["status"] for frame in frames if frame["type"] == "workflow.run"] == ["succeeded"]
    assert [frame["path"] for frame in frames if frame["type"] == "workflow.step"] == ["ask", "shout"]
    assert all(frame["run_id"] == run for frame in frames)
    assert "secret" not in json.dumps(frames).lower()
    assert events._changes(["other"], timezone.now() - timedelta(minutes=1)) == []


async def test_only_sockets_that_asked_for_runs_hear_of_them(workspace: Workspace) -> None:
    from governance.access.actors import SYSTEM
    from governance.realtime.hub import Hub

    hub = Hub(revision_of=lambda socket: 0)

    def socket(*, runs: bool, since: int | None = None, place: str = "default") -> Socket:
        made = Socket(actor=SYSTEM, workspace_id=place, environment_id=None, drafts=False, since=since, runs=runs)
        hub.add(made)
        return made

    asked, old, elsewhere, waiting = (
        socket(runs=True),
        socket(runs=False),
        socket(runs=True, place="other"),
        socket(runs=True, since=0),
    )
    assert hub.watching_runs() == {"default", "other"}
    frame = WorkflowRun(run_id="1", workflow_id="2", key="k", workspace="default", status="running", waits_for="")
    hub.publish_run("default", None, frame)
    assert list(asked._queue) == [frame.encode()]
    for quiet in (old, elsewhere, waiting):
        assert list(quiet._queue) == []
