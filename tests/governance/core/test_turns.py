"""Threads of requests work one at a time, so that the event loop has few to share the interpreter with."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import ScryptPasswordHasher

from governance.core import turns
from governance.core.turns import TurnQueue
from governance.identity.credentials.hashing import PasswordHasher


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> TurnQueue:
    """A queue for this test alone, in which nobody is overtaken."""
    made = TurnQueue(patience=60)
    monkeypatch.setattr(turns, "_queue", made)
    return made


def asks(queue: TurnQueue, then: Callable[[], None], *, first: bool = False) -> threading.Thread:
    """A thread that asks for a turn, does something in it and gives it back; it is in the queue when this returns."""
    waiting = queue._first if first else queue._others
    before = len(waiting)

    def go() -> None:
        turn = queue.take(first=first)
        then()
        queue.give_back(turn)

    thread = threading.Thread(target=go)
    thread.start()
    until = time.monotonic() + 10
    while len(waiting) == before and time.monotonic() < until:
        time.sleep(0.001)
    assert len(waiting) == before + 1
    return thread


def test_the_turn_goes_on_in_the_order_of_asking_and_to_the_first_before_the_others(queue: TurnQueue) -> None:
    held = queue.take()
    seen: list[str] = []
    threads = [asks(queue, lambda name=name: seen.append(name)) for name in ("a", "b")]  # type: ignore[misc]
    threads += [asks(queue, lambda name=name: seen.append(name), first=True) for name in ("c", "d")]  # type: ignore[misc]
    assert seen == []
    queue.give_back(held)
    for thread in threads:
        thread.join(10)
    assert seen == ["c", "d", "a", "b"]


def test_threads_at_work_are_never_two_and_those_that_wait_are_many(queue: TurnQueue) -> None:
    working, most, meet = [0], [0], threading.Barrier(8)

    def task() -> None:
        for _ in range(20):
            working[0] += 1
            most[0] = max(most[0], working[0])
            time.sleep(0)  # here another one would come between
            working[0] -= 1
            with turns.waiting():
                meet.wait(10)  # all eight wait at the same time, or this breaks

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(turns.work, task) for _ in range(8)]:
            done.result(30)
    assert most == [1]


@pytest.mark.parametrize("where", ["at work", "while it waits"])
def test_a_thread_that_fails_gives_its_turn_back(queue: TurnQueue, where: str) -> None:
    def task() -> None:
        if where == "at work":
            raise RuntimeError
        with turns.waiting():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        turns.work(task)
    assert turns.work(lambda: "done") == "done"


def test_who_keeps_the_turn_is_overtaken_and_cannot_take_it_from_the_one_who_went_ahead() -> None:
    queue = TurnQueue(patience=0.05)
    kept = queue.take()
    began = time.monotonic()
    second = queue.take()
    assert 0.04 < time.monotonic() - began < 5
    queue.give_back(kept)  # it was overtaken: the turn is not its own any more
    seen: list[str] = []
    patient = TurnQueue(patience=60)
    patient._holder, patient._first, patient._others = queue._holder, queue._first, queue._others
    third = asks(patient, lambda: seen.append("third"))
    assert seen == []
    patient.give_back(second)
    third.join(10)
    assert seen == ["third"]


def test_a_thread_without_a_turn_waits_as_ever(queue: TurnQueue) -> None:
    held = queue.take()
    with turns.waiting():
        pass  # it would wait here for the one that has the turn
    queue.give_back(held)


def test_others_work_while_a_password_is_hashed(queue: TurnQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, others = ScryptPasswordHasher.encode, threading.Event()

    def while_others_work(self: ScryptPasswordHasher, *args: Any) -> str:
        assert others.wait(10)
        return encode(self, *args)

    monkeypatch.setattr(ScryptPasswordHasher, "encode", while_others_work)
    with ThreadPoolExecutor(2) as pool:
        hashed = pool.submit(turns.work, PasswordHasher().encode, "a password", "salt")
        time.sleep(0.05)
        pool.submit(turns.work, others.set)
        assert hashed.result(30).startswith("scrypt$")
