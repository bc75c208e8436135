"""What each process does twice a second beside its work: which process lives, and that quiet times cost nothing."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.clients.connections import FORGET_AFTER
from governance.clients.connections import _write as beat
from governance.core import processes
from governance.core.models import ServerProcess
from governance.runs import log
from tests.workflows.conftest import MakeWorkflow, Place
from tests.workflows.runs.test_runs import APPROVAL, SHOUT, get, start, started, work_off
from workflows.engine import liveness, queue, supervisor, transitions
from workflows.engine.leases import local
from workflows.models import RunState, WorkflowRun

pytestmark = pytest.mark.django_db

WRITES = ("INSERT", "UPDATE", "DELETE", "SAVEPOINT", "BEGIN")


def asked(work: Any) -> tuple[int, list[str]]:
    """How many statements `work` sends, and those that take a lock on SQLite."""
    with CaptureQueriesContext(connection) as captured:
        work()
    statements = [query["sql"] for query in captured.captured_queries]
    return len(statements), [sql for sql in statements if sql.startswith(WRITES) or "FOR UPDATE" in sql]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[supervisor.Supervisor]:
    """The keeper of a process that has nothing to do, after its first look."""
    me = uuid.uuid4()
    beat(me, {}, set())
    monkeypatch.setattr(processes, "current", me)
    local.set_stopping(False)
    mine = supervisor.Supervisor(takes_runs=True)
    mine._look()
    yield mine
    for open_file in (mine._sign, mine._lock):
        if open_file is not None:
            open_file.end() if isinstance(open_file, liveness.SignOfLife) else open_file.close()


def test_a_look_at_nothing_reads_twice_and_takes_no_lock(
    editor: APIClient, make_workflow: MakeWorkflow, idle: supervisor.Supervisor
) -> None:
    started(editor, make_workflow(SHOUT))
    work_off()  # there are runs, and all are over
    body = {"workflow_id": WorkflowRun.objects.get().workflow_id, "name": "nightly", "cron": "30 2 * * *"}
    assert editor.post("/api/schedules", body).status_code == 201
    assert asked(idle._look) == (2, [])
    idle._tidied_at = idle._recovered_at = 0.0  # what is done now and then is due as well
    count, locking = asked(idle._look)
    assert locking == []
    assert count <= 7


def test_a_look_at_a_run_that_waits_takes_no_lock(
    editor: APIClient, make_workflow: MakeWorkflow, idle: supervisor.Supervisor
) -> None:
    started(editor, make_workflow(APPROVAL))
    work_off()
    idle._tidied_at = idle._recovered_at = 0.0
    count, locking = asked(idle._look)
    assert locking == []
    assert count <= 12


def test_a_sweep_after_a_quiet_year_asks_as_little_as_after_a_quiet_hour(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=365), tick=False):
        started(editor, make_workflow(SHOUT))
        work_off()
    sweep = log.Sweep()
    count, _ = asked(sweep)
    assert count <= 20  # it counts the one hour in which something happened
    count, locking = asked(log.Sweep())  # another process, a moment later
    assert locking == []
    assert count <= 10
    count, locking = asked(sweep)  # and again
    assert locking == []
    assert count <= 5


# --- which process lives ----------------------------------------------------------------------------------------


def test_a_process_lives_as_long_as_it_says_so_whatever_the_clocks_of_the_hosts_are(workspace: Any) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    beat(one, {}, set())
    for hours in (-1, 1):
        with time_machine.travel(timezone.now() + timedelta(hours=hours)):
            beat(other, {}, set())
            assert liveness.dead({one, other}) == set()
        assert liveness.dead({one, other}) == set()
    ServerProcess.objects.filter(pk=one).update(seen_at=timezone.now() - timedelta(seconds=FORGET_AFTER + 5))
    assert liveness.dead({one, other}) == {one}
    beat(other, {}, set())
    assert list(ServerProcess.objects.values_list("pk", flat=True)) == [other]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True], ids=["its process is not known", "its process becomes known"])
def test_a_keyed_request_whose_process_is_not_known_is_not_run_a_second_time(
    viewer: APIClient,
    make_workflow: MakeWorkflow,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        reached.set()
        go_on.wait(20)
        return Response("done")

    place.handler = slow
    assert processes.current is None
    workflow = make_workflow({"id": "once", "type": "http", "url": place.url})
    answers: list[Any] = []

    def ask() -> None:
        answers.append(start(viewer, workflow, "k", background=False))
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    assert reached.wait(20)
    WorkflowRun.objects.update(changed_at=timezone.now() - timedelta(seconds=supervisor.UNSIGNED / 2))
    if known:
        me = uuid.uuid4()
        monkeypatch.setattr(processes, "current", me)
        beat(me, {}, set())
    supervisor.stop_lost_work()
    monkeypatch.setattr(supervisor, "UNSIGNED", 20.0)  # it said that it goes on, or has an owner that lives
    elsewhere = uuid.uuid4()
    with monkeypatch.context() as other:
        other.setattr(local, "all", list)
        supervisor.recover(elsewhere)
    assert WorkflowRun.objects.get().status == RunState.RUNNING
    go_on.set()
    asking.join(20)
    assert (answers[0].status_code, answers[0].json()["output"]) == (200, "done")
    assert len(place.requests) == 1


def test_a_run_that_nobody_signed_and_nobody_works_on_is_taken_up_again(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    run = started(viewer, make_workflow(SHOUT))
    transitions.lease(WorkflowRun.objects.get().pk, 1)
    supervisor.recover(uuid.uuid4())
    assert WorkflowRun.objects.get().status == RunState.RUNNING
    WorkflowRun.objects.update(changed_at=timezone.now() - timedelta(seconds=supervisor.UNSIGNED + 5))
    supervisor.recover(uuid.uuid4())
    work_off()
    assert get(viewer, run)["status"] == "succeeded"


def test_a_run_that_was_left_in_a_process_that_takes_none_from_the_queue_goes_back_there(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(viewer, make_workflow(SHOUT))
    me = uuid.uuid4()
    monkeypatch.setattr(processes, "current", me)
    beat(me, {}, set())
    transitions.lease(WorkflowRun.objects.get().pk, 1)
    monkeypatch.setattr(supervisor, "RECOVERY_INTERVAL", 0.0)
    local.set_stopping(False)
    web = supervisor.Supervisor(takes_runs=False)
    try:
        web._look()
        assert WorkflowRun.objects.get().status == RunState.RUNNING
        WorkflowRun.objects.update(changed_at=timezone.now() - supervisor.LOST_AFTER - timedelta(seconds=1))
        supervisor.recover(uuid.uuid4())  # to a worker it seems to be in good hands
        assert WorkflowRun.objects.get().status == RunState.RUNNING
        web._look()
    finally:
        if web._sign is not None:
            web._sign.end()
    work_off()
    assert get(viewer, run)["status"] == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_request_whose_run_another_process_took_over_is_told_that_it_goes_on_and_writes_nothing(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    def taken_over(request: Request) -> Response:
        WorkflowRun.objects.update(fencing_token=2, owner=uuid.uuid4())
        connection.close()
        return Response("done")

    place.handler = taken_over
    workflow = make_workflow({"id": "once", "type": "http", "url": place.url})
    answer = start(viewer, workflow, "k", background=False)
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    row = WorkflowRun.objects.get()
    assert (row.status, row.fencing_token) == (RunState.RUNNING, 2)


# --- the queue --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_legs_are_put_into_the_engines_queue_while_nobody_waits_for_a_lock_and_again_when_that_failed(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = make_workflow(SHOUT)
    for _ in range(3):
        started(viewer, workflow)
    offered: list[list[Any]] = []

    def enqueue(given: Any) -> None:
        assert not connection.in_atomic_block
        offered.append(list(given))
        if len(offered) == 1:
            raise OSError("the disk of the engine is full")

    monkeypatch.setattr(queue, "launch", lambda *args: None)
    monkeypatch.setattr(queue, "enqueue", enqueue)
    with pytest.raises(OSError, match="full"):
        supervisor.dispatch(uuid.uuid4())
    assert WorkflowRun.objects.filter(dispatched=False).count() == 3
    assert supervisor.dispatch(uuid.uuid4()) == 3
    assert supervisor.dispatch(uuid.uuid4()) == 0
    assert offered[0] == offered[1]
