"""Guessing is slowed down, wherever it comes in, and nobody is shut out by somebody else's."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import ScryptPasswordHasher
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.core.errors import BusyError, TooManyAttemptsError
from governance.identity import lockout, tokens
from governance.identity.addresses import network_of
from governance.identity.credentials.hashing import Slots
from governance.identity.models import LoginFailures, User
from governance.tenancy.models import Workspace
from tests.conftest import PASSWORD, api

WRONG, NO_TOKEN = "wrong", "po_wrong"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    return make_user(Role.EDITOR, username="ada")


def guess(username: str = "ada", password: str = WRONG, *, address: str = "192.0.2.1") -> int:
    answer = APIClient().post("/api/login", {"username": username, "password": password}, REMOTE_ADDR=address)
    status: int = answer.status_code
    assert (status == 429) == ("Retry-After" in answer.headers)
    return status


def try_token(secret: str = NO_TOKEN, *, address: str = "192.0.2.1") -> Any:
    return APIClient().get("/api/me", HTTP_AUTHORIZATION=f"Bearer {secret}", REMOTE_ADDR=address)


def test_addresses_of_one_ipv6_network_share_their_tries(ada: User, clock: Any) -> None:
    statuses = [guess(address=f"2001:db8:1:2::{number:x}") for number in range(1, 10)]
    assert statuses == [401] * 4 + [429] * 5
    assert guess(password=PASSWORD, address="2001:db8:1:3::1") == 200


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_place(address: str, place: str) -> None:
    assert network_of(address) == place


def test_many_names_from_one_address_are_slowed_down_and_from_elsewhere_they_are_not(ada: User, clock: Any) -> None:
    statuses = [guess(f"name-{number}") for number in range(25)]
    assert statuses == [401] * 19 + [429] * 6
    assert guess(password=PASSWORD) == 429
    assert guess(password=PASSWORD, address="192.0.2.2") == 200
    clock.shift(timedelta(seconds=45))
    assert guess(password=PASSWORD) == 200


def test_a_name_that_is_guessed_at_from_everywhere_has_fewer_tries_at_each_place_and_never_none(
    ada: User, clock: Any
) -> None:
    for number in range(60):
        guess(address=f"198.51.100.{number}")
    assert guess(password=PASSWORD, address="203.0.113.1") == 200
    assert [guess(address="203.0.113.2") for _ in range(3)] == [401, 429, 429]
    assert [guess("grace", address="203.0.113.3") for _ in range(3)] == [401, 401, 401]


def test_very_many_failures_in_all_leave_each_place_its_first_tries(ada: User, clock: Any, settings: Any) -> None:
    settings.PROMPTOPS_LOGIN_FAILURES_IN_ALL = 30
    for number in range(60):
        guess(f"name-{number}", address=f"198.51.100.{number}")
    assert guess(password=PASSWORD, address="203.0.113.1") == 200
    assert [guess("grace", address="203.0.113.2") for _ in range(3)] == [401, 429, 429]
    noted = AuditEntry.objects.filter(action="login_failed")
    assert noted.count() == 31
    assert noted.filter(summary__contains="not listed one by one").count() == 1


def test_tries_come_back_one_after_the_other(ada: User, clock: Any) -> None:
    assert [guess() for _ in range(7)] == [401] * 4 + [429] * 3
    for _ in range(3):
        clock.shift(timedelta(seconds=180))
        assert [guess(), guess()] == [429, 429]  # it is looked at, and the next one is not
    clock.shift(timedelta(minutes=15))
    assert [guess() for _ in range(5)] == [401] * 4 + [429]


def test_who_has_no_try_left_has_no_password_looked_at(
    ada: User, clock: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PASSWORD_HASHERS = ["governance.identity.credentials.hashing.PasswordHasher"]
    hashed = []

    def note(self: Any, *args: Any) -> str:
        hashed.append(args)
        return "x"

    monkeypatch.setattr(ScryptPasswordHasher, "encode", note)
    assert [guess(name) for name in ("ada", "nobody") for _ in range(9)] == ([401] * 4 + [429] * 5) * 2
    assert len(hashed) == 10


def test_the_password_is_found_out_however_the_name_is_written_by_one_counter(ada: User, clock: Any) -> None:
    assert [guess(name) for name in ("ada", "ADA", "Ada", "aDa", "adA", "ada")] == [401] * 4 + [429] * 2


# --- tokens -------------------------------------------------------------------------------------------------------


def test_guessing_tokens_is_slowed_down_by_whatever_door_and_a_right_one_passes(
    workspace: Workspace, clock: Any
) -> None:
    _, right = tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=Role.VIEWER)
    doors: list[Callable[[str], Any]] = [
        try_token,
        lambda secret: APIClient().post("/api/login", {"token": secret}, REMOTE_ADDR="192.0.2.1"),
        lambda secret: APIClient().get("/metrics", HTTP_AUTHORIZATION=f"Bearer {secret}", REMOTE_ADDR="192.0.2.1"),
    ]
    statuses = [doors[number % 3](f"po_{number}").status_code for number in range(24)]
    assert statuses == [401] * 19 + [429] * 5
    refused = try_token()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "45")
    assert refused.json()["code"] == "too_many_attempts"
    assert try_token(right).status_code == 200
    assert doors[1](right).status_code == 200
    assert try_token(address="192.0.2.2").status_code == 401
    clock.shift(timedelta(seconds=45))
    assert [try_token().status_code for _ in range(2)] == [429, 429]


def test_an_application_with_an_old_token_costs_two_reads_a_request_and_takes_no_login_from_its_neighbours(
    ada: User, clock: Any
) -> None:
    for _ in range(20):
        try_token()
    with CaptureQueriesContext(connection) as queries:
        assert try_token().status_code == 429
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "SELECT"]
    assert guess(password=PASSWORD) == 200
    assert AuditEntry.objects.filter(action="login_failed").count() == 20


def test_a_right_token_costs_what_it_did(static: APIClient, viewer: APIClient) -> None:
    with CaptureQueriesContext(connection) as queries:
        static.get("/api/playground/providers")
    before = len(queries)
    for _ in range(25):
        try_token(address="127.0.0.1")
    with CaptureQueriesContext(connection) as queries:
        static.get("/api/playground/providers")
    assert len(queries) == before


# --- the table ----------------------------------------------------------------------------------------------------


def test_the_table_is_swept_and_bounded(ada: User, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout, "MOST_ROWS", 60)
    for number in range(100):
        guess(f"name-{number}", address=f"2001:db8:0:{number:x}::1")
    assert LoginFailures.objects.count() <= 61
    assert {"all"} <= set(LoginFailures.objects.values_list("kind", flat=True))
    clock.shift(timedelta(hours=1))
    for number in range(100):
        guess(f"other-{number}", address="192.0.2.1") if number < 20 else try_token(address=f"10.0.0.{number}")
    lockout._sweep(NOW + timedelta(hours=2))
    assert not LoginFailures.objects.exists()


def test_what_nobody_is_called_is_not_kept_since_it_may_be_a_password(ada: User) -> None:
    guess("my-secret-password-in-the-wrong-field")
    everything = str(list(LoginFailures.objects.values())) + str(list(AuditEntry.objects.values()))
    assert "my-secret-password" not in everything
    assert "an unknown name" in everything


@pytest.mark.django_db(transaction=True)
def test_guesses_at_once_are_counted_each(ada: User) -> None:
    def one(number: int) -> int:
        try:
            lockout.wrong_password("ada", "192.0.2.1")
            return 401
        except TooManyAttemptsError:
            return 429
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(24)))
    assert statuses.count(401) == 4
    assert {row.failures for row in LoginFailures.objects.all()} == {24}


# --- hashing ------------------------------------------------------------------------------------------------------


def test_so_many_are_hashed_at_once_others_wait_in_turn_and_too_many_are_told_to_come_again() -> None:
    slots = Slots(at_once=2, most_waiting=3, patience=10)
    inside, most, go, lock = 0, 0, threading.Event(), threading.Lock()

    def one(first: bool) -> bool:
        nonlocal inside, most
        try:
            with slots.one(first=first), slots.one():
                with lock:
                    inside += 1
                    most = max(most, inside)
                go.wait(10)
                with lock:
                    inside -= 1
            return True
        except BusyError:
            return False

    with ThreadPoolExecutor(9) as pool:
        tried = [pool.submit(one, False) for _ in range(8)]
        done = [future for future in tried if _soon(future)]
        assert [future.result() for future in done] == [False] * 3
        holding = pool.submit(one, True)  # who holds a lock is never refused
        go.set()
        assert holding.result(10) is True
        assert sum(future.result(10) for future in tried) == 5
    assert most == 2
    assert slots._free == 2


def _soon(future: Any) -> bool:
    try:
        future.result(0.3)
    except TimeoutError:
        return False
    return True


def test_who_waits_too_long_for_a_hash_is_told_so_and_leaves_no_trace() -> None:
    slots = Slots(at_once=1, most_waiting=3, patience=0.05)
    with slots.one(), ThreadPoolExecutor(1) as pool, pytest.raises(BusyError):
        pool.submit(slots.one().__enter__).result()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(slots.one().__enter__).result()


def test_a_client_is_told_to_come_again_when_too_many_log_in(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.backends.slots", Slots(at_once=0, most_waiting=0))
    answer = APIClient().post("/api/login", {"username": "ada", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["code"]) == (503, "5", "unavailable")
    page = APIClient().post("/admin/login/", {"username": "ada", "password": PASSWORD}, format="multipart")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "too many logins at once" in page.content.decode().lower()


def test_the_session_of_a_token_login_is_in_the_audit_log(static: APIClient, settings: Any) -> None:
    api(settings.PROMPTOPS_TOKEN).post("/api/login", {"token": settings.PROMPTOPS_TOKEN})
    entry = AuditEntry.objects.get(action="login")
    assert (entry.actor, entry.resource, entry.resource_id) == ("static token", "token", "static")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one writes after the other")
@pytest.mark.django_db(transaction=True)
def test_what_somebody_counts_at_this_moment_is_not_waited_for_by_who_sweeps() -> None:
    for digest in ("counted", "free"):
        LoginFailures.objects.create(digest=digest, kind="name", started_at=NOW, forgotten_at=NOW)
    held, over = threading.Event(), threading.Event()

    def count() -> None:
        with transaction.atomic():
            LoginFailures.objects.select_for_update().get(digest="counted")
            held.set()
            over.wait(10)
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        counting = threads.submit(count)
        held.wait(10)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                lockout._sweep(NOW + timedelta(hours=1))
        finally:
            over.set()
        counting.result()
    assert list(LoginFailures.objects.values_list("digest", flat=True)) == ["counted"]
