"""Django's PostgreSQL backend, whose threads leave their turn while they wait for the server."""

from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base, operations

from governance.core import append_only, turns


class DatabaseOperations(operations.DatabaseOperations):
    def sql_flush(self, style: Any, tables: Any, **wishes: Any) -> list[str]:
        return append_only.around(self.connection, tables, super().sql_flush(style, tables, **wishes))


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(_wait)

    def get_new_connection(self, conn_params: Any) -> Any:
        with turns.waiting():
            return super().get_new_connection(conn_params)

    def _commit(self) -> None:
        with turns.waiting(first=True):
            super()._commit()  # type: ignore[misc]  # missing in the stubs

    def _rollback(self) -> None:
        with turns.waiting(first=True):
            super()._rollback()  # type: ignore[misc]


def _wait(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    # In a transaction it may hold locks, so that others wait for it.
    with turns.waiting(first=context["connection"].in_atomic_block):
        return execute(sql, params, many, context)
