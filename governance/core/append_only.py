"""The database refuses to change or to delete an entry of the audit log, whoever asks it.

A trigger on the table does it, in SQLite and in PostgreSQL alike. Two things remove
it for one transaction: `manage.py forgetaudit`, by which an operator deletes old entries, and Django's `flush`, which
empties all tables between tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection as default_connection
from django.db import transaction

TABLE = "governance_auditentry"

_REFUSAL = "entries of the audit log are never changed or deleted"

_INSTALL = {
    "sqlite": [
        f"""CREATE TRIGGER IF NOT EXISTS audit_refuses_{verb} BEFORE {verb} ON {TABLE}
            BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"""
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$""",
        f"""CREATE OR REPLACE TRIGGER audit_refuses_changes BEFORE UPDATE OR DELETE ON {TABLE}
            FOR EACH ROW EXECUTE FUNCTION audit_refuses()""",
        f"""CREATE OR REPLACE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON {TABLE}
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()""",
    ],
}

_LIFT = {
    "sqlite": [f"DROP TRIGGER IF EXISTS audit_refuses_{verb}" for verb in ("UPDATE", "DELETE")],
    "postgresql": [
        f"DROP TRIGGER IF EXISTS {name} ON {TABLE}" for name in ("audit_refuses_changes", "audit_refuses_truncate")
    ],
}


def install(connection: Any) -> None:
    """Put the trigger there, if it is not. SQLite loses it with each migration that makes the table anew."""
    _execute(connection, _INSTALL)


@contextmanager
def lifted() -> Iterator[None]:
    """One transaction in which entries can be changed and deleted; for all others the trigger is there all the time."""
    with transaction.atomic():
        _execute(default_connection, _LIFT)
        yield
        _execute(default_connection, _INSTALL)


def around(connection: Any, tables: Any, statements: list[str]) -> list[str]:
    """The statements that empty `tables`, with the trigger out of their way if the audit log is among these."""
    if TABLE not in tables:
        return statements
    return [*_LIFT[connection.vendor], *statements, *_INSTALL[connection.vendor]]


def _execute(connection: Any, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
