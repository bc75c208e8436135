"""Errors that no input is to blame for, and the id that every answer bears (contract, section 1)."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection
from rest_framework.test import APIClient

from governance import audit
from governance.api.exceptions import RACED
from governance.audit.models import AuditEntry
from governance.tenancy.models import Workspace
from tests.contract.endpoints import ENDPOINTS, Endpoint
from tests.contract.refusals.test_bad_bodies import error_of

pytestmark = pytest.mark.usefixtures("full_installation")

BUSY = "the database is busy or down: try again"
#: With the static token, these ask the database nothing.
NOT_ASKING = {"/api/login", "/api/logout", "/api/playground/providers", "/api/workflows/schema"}
ASKING = [endpoint for endpoint in ENDPOINTS if endpoint.route not in NOT_ASKING]
INTERNAL = "internal error: report it with this request_id"


@contextmanager
def database(error: Exception) -> Iterator[None]:
    """Every statement that is sent meanwhile fails with `error`."""

    def fail(*args: Any) -> Any:
        raise error

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection is closed")])
@pytest.mark.parametrize("endpoint", ASKING, ids=str)
def test_a_database_that_is_busy_or_down_is_503_with_a_time_to_come_back_at(
    endpoint: Endpoint, error: Exception, static: APIClient
) -> None:
    with database(error):
        answer = endpoint.call(static)
    assert error_of(answer) == (503, BUSY)
    assert (answer.json()["code"], answer.headers["Retry-After"]) == ("unavailable", "1")


@pytest.mark.parametrize("path", ["/api/me", "/api/login", "/api/prompts"])
def test_so_it_is_while_a_session_is_looked_up_or_opened(path: str, viewer: APIClient) -> None:
    with database(OperationalError("server closed the connection unexpectedly")):
        if path == "/api/login":
            answer = viewer.post(path, {"username": "somebody", "password": "some password"})
        else:
            answer = viewer.get(path)
    assert error_of(answer) == (503, BUSY)


def held(kind: type[psycopg.Error]) -> IntegrityError:
    """What Django makes of a constraint that held."""
    error = IntegrityError("a secret in a message")
    error.__cause__ = kind("a secret in a message")
    return error


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("a secret in a message"), (500, INTERNAL)),
        (KeyError("a secret in a message"), (500, INTERNAL)),
        (RecursionError("a secret in a message"), (500, INTERNAL)),
        (UnicodeEncodeError("utf-8", "a secret", 0, 1, "surrogates not allowed"), (500, INTERNAL)),
        (IntegrityError("a secret in a message"), (500, INTERNAL)),
        (held(psycopg.errors.UniqueViolation), (409, RACED["taken"])),
        (held(psycopg.errors.ForeignKeyViolation), (409, RACED["referred"])),
        (held(psycopg.errors.NotNullViolation), (500, INTERNAL)),
        (DataError("a secret in a message"), (400, "a value is out of the range that can be stored")),
        (OperationalError("a secret in a message"), (503, BUSY)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_nobody_foresaw_is_told_in_json_without_its_message_and_writes_nothing(
    error: Exception, expected: tuple[int, str], static: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(**entry: Any) -> Any:
        raise error  # the last thing that a service does

    monkeypatch.setattr(audit, "record", record)
    before = Workspace.objects.count(), AuditEntry.objects.count()
    answer = static.post("/api/workspaces", {"name": "New"})
    assert error_of(answer) == expected
    assert "secret" not in answer.content.decode()
    assert (Workspace.objects.count(), AuditEntry.objects.count()) == before


@pytest.mark.parametrize("given", ["a", "0", "A-b_c.9", "x" * 128, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
@pytest.mark.parametrize("path", ["/api/me", "/api/nope", "/api/sdk/prompts", "/api/schema", "/nope"])
def test_a_sane_request_id_is_taken_and_returned(given: str, path: str, static: APIClient) -> None:
    answer = static.get(path, headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    if answer.status_code >= 400:
        assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 129, "a b", "a\tb", "a,b", "é", "a/b", "a\n", "{}", "%41"])
def test_another_request_id_is_replaced_by_a_fresh_one(given: str, static: APIClient) -> None:
    ids = [static.get("/api/nope", headers={"X-Request-ID": given}).headers["X-Request-ID"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in ids)
    assert ids[0] != ids[1]


def test_the_audit_log_keeps_the_id_of_the_request_that_wrote_it(static: APIClient) -> None:
    static.post("/api/workspaces", {"name": "New"}, headers={"X-Request-ID": "mine-7"})
    entry = AuditEntry.objects.get(request_id="mine-7")
    assert (entry.action, entry.resource) == ("create", "workspace")


def test_every_answer_forbids_to_guess_its_type(make_prompt: Callable[..., Any], static: APIClient) -> None:
    prompt = make_prompt("another")
    for path in ("/api/me", "/api/nope", f"/api/prompts/{prompt['id']}", "/api/sdk/prompts/another"):
        assert static.get(path).headers["X-Content-Type-Options"] == "nosniff"
