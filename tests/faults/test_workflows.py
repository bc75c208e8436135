"""Runs of workflows whose processes die. PROMPTOPS_FAULTS=long: 20 runs at each point; everyday runs a few.

On PostgreSQL with two workers beside the server, on SQLite in the one process that there is.
"""

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.faults.tools.support import LONG, data, listening, times
from tests.faults.tools.work import (
    ON_POSTGRES,
    Counter,
    Worker,
    calling,
    counted,
    create,
    get,
    start,
    until,
    workers,
)
from tests.servers import Server

STEPS = 4
#: Where a kill comes: while a step's call is under way, or when it has been answered.
POINTS = [(kind, step) for step in range(1, STEPS + 1) for kind in ("inside", "after")]


class Crew:
    """Who works on runs: the server itself on SQLite, two workers on PostgreSQL. One of them can be killed."""

    def __init__(self, server: Server, hands: list[Worker]) -> None:
        self.server, self.hands = server, hands

    def kill_one(self) -> float:
        """SIGKILL, and somebody new instead. Returns when that was."""
        if self.hands:
            victim = self.hands.pop(0)
            victim.kill()
            at = time.time()
            self.hands.append(Worker(self.server))
            return at
        self.server.kill()
        at = time.time()
        self.server.start()
        return at


@contextlib.contextmanager
def crew(factory: pytest.TempPathFactory, **variables: str) -> Iterator[tuple[Crew, Counter]]:
    where = {"PROMPTOPS_WORKFLOW_WORKERS": "external"} if ON_POSTGRES else {}
    with counted(factory, **where, **variables) as (server, counter), contextlib.ExitStack() as stack:
        hands = stack.enter_context(workers(server, 2)) if ON_POSTGRES else []
        yield Crew(server, hands), counter


def ended_before(step: dict[str, Any], moment: float) -> bool:
    return step["ended_at"] is not None and datetime.fromisoformat(step["ended_at"]).timestamp() < moment


def check(run: dict[str, Any], name: str, counter: Counter, killed_at: float) -> int:
    """The run ended well, and no step that had ended when the kill came was made again. How many were made twice."""
    assert run["status"] == "succeeded", run
    assert run["output"] == "".join(f"s{number}." for number in range(1, STEPS + 1))
    twice = 0
    for number in range(1, STEPS + 1):
        attempts = [step for step in run["steps"] if step["path"] == f"s{number}"]
        done = [step for step in attempts if step["status"] == "succeeded"]
        calls = counter.calls[name, f"s{number}"]
        assert len(done) == 1, attempts
        assert len(calls) <= len(attempts), (calls, attempts)
        if ended_before(done[0], killed_at):
            assert len(attempts) == 1, attempts
            assert [call for call in calls if call > killed_at] == []
        twice += len(calls) - 1
    return twice


def test_runs_whose_process_is_killed_at_any_step_go_on_where_they_were_and_finished_steps_are_not_made_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    count = times(4, 20)
    points = POINTS if LONG else [("inside", 2), ("after", 3)]
    with crew(tmp_path_factory) as (team, counter):
        with team.server.client() as client:
            workflow = create(client, "chain", calling(counter, STEPS))
            until(client, start(client, workflow, run="warm"), "succeeded")  # the engine is up
        slowest = 0.0
        for kind, at_step in points:
            counter.forget()
            reached = threading.Event()
            counter.delay = lambda run, step: 0.2

            def note(run: str, step: str, wanted: str = f"s{at_step}", reached: threading.Event = reached) -> None:
                if step == wanted:
                    reached.set()

            if kind == "inside":
                counter.began = note
            else:
                counter.answered = note
            with team.server.client() as client:
                runs = {f"{kind}-{at_step}-{number}": "" for number in range(count)}
                for name in runs:
                    runs[name] = start(client, workflow, run=name)
            assert reached.wait(30)
            if kind == "inside":
                time.sleep(0.05)
            killed_at = team.kill_one()
            with team.server.client() as client:
                twice = sum(
                    check(until(client, run, "succeeded"), name, counter, killed_at) for name, run in runs.items()
                )
            took = time.time() - killed_at
            slowest = max(slowest, took)
            print(
                f"\nkilled {kind} step {at_step}: {count} runs ended {took:.1f} s later, {twice} calls were made twice"
            )
        assert slowest < 40


@pytest.mark.skipif(not ON_POSTGRES, reason="it takes two machines' workers, and a database for both")
def test_what_a_killed_worker_of_another_machine_held_is_taken_over_within_30_s(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    took = []
    with counted(tmp_path_factory, PROMPTOPS_WORKFLOW_WORKERS="external") as (server, counter):
        with server.client() as client:
            workflow = create(client, "chain", calling(counter, STEPS))
        for round_ in range(times(1, 5)):
            counter.forget()
            counter.delay = lambda run, step: 60.0 if len(counter.calls[run, step]) == 1 and step == "s2" else 0.0
            with workers(server, 1, apart=True) as [victim], server.client() as client:
                names = {f"over-{round_}-{number}": "" for number in range(5)}
                for name in names:
                    names[name] = start(client, workflow, run=name)
                wait_for(lambda names=names: all(counter.calls[name, "s2"] for name in names))
                with workers(server, 1, apart=True) as [survivor]:
                    wait_for(lambda log=survivor.log: "at work" in log.read_text())
                    time.sleep(3)  # it is there, and has nothing to do
                    victim.kill()
                    killed_at = time.time()
                    wait_for(lambda names=names: all(len(counter.calls[name, "s2"]) == 2 for name in names), 35)
                    took.append(time.time() - killed_at)
                    for name, run in names.items():
                        check(until(client, run, "succeeded"), name, counter, killed_at)
        print(f"\ntaken over after {', '.join(f'{seconds:.1f}' for seconds in took)} s")
        assert max(took) < 30


def test_an_approval_waits_over_a_kill_and_is_decided_after_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with crew(tmp_path_factory) as (team, counter):
        before, *_ = calling(counter, 1)
        after = {"id": "s2", "type": "http", "url": f"http://{counter.place}/{{{{run}}}}/s2"}
        steps = [before, {"id": "ask", "type": "approval"}, after]
        with team.server.client() as client:
            workflow = create(client, "asks", steps)
            yes, no = (start(client, workflow, run=name) for name in ("yes", "no"))
            for run in (yes, no):
                assert until(client, run, "waiting")["waits_for"] == "ask"
        team.kill_one()
        with team.server.client() as client:
            data(client.post(f"/api/workflows/runs/{yes}/approve", json={"comment": "go"}))
            data(client.post(f"/api/workflows/runs/{no}/reject", json={"comment": "stop"}))
            done, refused = until(client, yes, "succeeded"), until(client, no, "failed")
            assert client.post(f"/api/workflows/runs/{yes}/approve", json={}).status_code == 409
        assert [len(counter.calls[name, step]) for name in ("yes", "no") for step in ("s1", "s2")] == [1, 1, 1, 0]
        assert next(step for step in done["steps"] if step["path"] == "ask")["decision"]["comment"] == "go"
        assert refused["error"]


def test_a_wait_is_over_when_it_should_be_also_when_its_process_was_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with crew(tmp_path_factory) as (team, counter), team.server.client() as client:
        last = {"id": "s1", "type": "http", "url": f"http://{counter.place}/{{{{run}}}}/s1"}
        workflow = create(client, "waits", [{"id": "pause", "type": "wait", "seconds": 12}, last])
        run, began = start(client, workflow, run="w"), time.time()
        until(client, run, "waiting")
        team.kill_one()
        back = time.time()
        until(client, run, "succeeded")
        late = counter.calls["w", "s1"][0] - max(began + 12, back)
        print(f"\nwent on {late:.2f} s after its time")
        assert -0.1 < late < 15


def test_a_cancelled_run_stops_within_2_s_and_its_connection_is_closed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with crew(tmp_path_factory) as (team, counter), team.server.client() as client:
        counter.delay = lambda run, step: 30.0
        workflow = create(client, "slow", calling(counter, 2))
        took = []
        for number in range(times(3, 20)):
            run = start(client, workflow, run=f"c{number}")
            wait_for(lambda number=number: bool(counter.calls[f"c{number}", "s1"]))
            asked = time.monotonic()
            assert data(client.post(f"/api/workflows/runs/{run}/cancel"))["status"] == "cancelled"
            wait_for(lambda number=number: (f"c{number}", "s1") in counter.left, 5)
            took.append(counter.left[f"c{number}", "s1"] - asked)
            ended = get(client, run)
            assert ended["steps"][0]["status"] == "cancelled"
        print(f"\ncancelled within {max(took):.2f} s")
        assert statistics.median(took) < 2
        assert not any(step == "s2" for _, step in counter.calls)


def test_a_steps_timeout_is_kept_to_within_1_s(tmp_path_factory: pytest.TempPathFactory) -> None:
    with crew(tmp_path_factory) as (team, counter), team.server.client() as client:
        counter.delay = lambda run, step: 30.0
        workflow = create(client, "late", [{**calling(counter, 1)[0], "timeout": 2}])
        off = []
        for number in range(times(3, 20)):
            run = start(client, workflow, run=f"t{number}")
            ended = until(client, run, "failed")
            [step] = ended["steps"]
            began, over = (datetime.fromisoformat(step[name]) for name in ("started_at", "ended_at"))
            off.append((over - began).total_seconds() - 2)
        print(f"\ntimeouts were off by up to {max(map(abs, off)):.2f} s")
        assert min(off) > -1
        assert statistics.median(off) < 1


def test_many_runs_queued_at_once_all_end_and_none_is_made_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    count = times(60, 500)
    with crew(tmp_path_factory) as (team, _), team.server.client() as client:
        steps: list[dict[str, Any]] = [{"id": f"m{number}", "type": "model", "provider": "mock"} for number in range(5)]
        workflow = create(client, "mocks", steps)
        until(client, start(client, workflow, input="warm"), "succeeded")
        began = time.monotonic()
        runs = [start(client, workflow, input=f"run {number}") for number in range(count)]
        queued = time.monotonic() - began
        for run in runs:
            ended = until(client, run, "succeeded", timeout=300)
            assert [step["status"] for step in ended["steps"]] == ["succeeded"] * 5
        took = time.monotonic() - began
        print(
            f"\n{count} runs of 5 mock steps: queued in {queued:.1f} s, over in {took:.1f}, {count / took:.0f} a second"
        )


def wait_for(condition: Any, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_that_is_told_to_stop_finishes_its_step_and_leaves_the_run_to_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with crew(tmp_path_factory) as (team, counter):
        counter.delay = lambda run, step: 1.0
        with team.server.client() as client:
            workflow = create(client, "chain", calling(counter, STEPS))
            run = start(client, workflow, run="g")
            wait_for(lambda: bool(counter.calls["g", "s2"]))
        if team.hands:
            for worker in team.hands:
                assert worker.stop() == 0
            team.hands[:] = [Worker(team.server)]
        else:
            team.server.stop()
            team.server.start()
        with team.server.client() as client:
            check(until(client, run, "succeeded"), "g", counter, 0.0)
        assert all(len(calls) == 1 for calls in counter.calls.values())


def test_steps_are_told_on_the_event_stream_whichever_process_works_on_the_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with crew(tmp_path_factory) as (team, counter), team.server.client() as client:
        counter.delay = lambda run, step: 1.5
        workflow = create(client, "chain", calling(counter, 2))
        with listening(team.server, runs=1) as stream, listening(team.server) as old:
            run = start(client, workflow, run="e")
            told: dict[tuple[str, str], float] = {}
            while ("", "succeeded") not in told:
                frame = stream.next()
                if frame["type"].startswith("workflow."):
                    assert frame["run_id"] == run
                    told.setdefault((frame.get("path", ""), frame["status"]), time.time())
            assert {("s1", "running"), ("s1", "succeeded"), ("s2", "running")} <= told.keys()
            assert told["s1", "succeeded"] - counter.calls["e", "s1"][0] < 1.5 + 4
            with pytest.raises(TimeoutError):
                old.next(6)
