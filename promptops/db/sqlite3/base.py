"""Django's SQLite backend with a queue before the write lock.

SQLite's own way of waiting is to sleep and look again: under steady writing some get their turn at once and others not
for seconds, until their patience ends. Within one process the transactions stand in line instead. Other processes are
waited for as ever.
"""

import threading
from collections import defaultdict, deque
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base, operations

from governance.core import append_only, turns
from governance.core.text import folded

PATIENCE = 20.0  # seconds in line; many short transactions may be before this one


class Line:
    """A lock that is had in the order of asking."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def enter(self, timeout: float) -> bool:
        """Wait for this thread's turn; False when it did not come in time."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout):
            return True
        with self._lock:
            if mine.is_set():
                return True
            self._waiting.remove(mine)
            return False

    def leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_lines: dict[str, Line] = defaultdict(Line)  # by database


def _folded(text: str | None) -> str | None:
    return None if text is None else folded(text)


class DatabaseOperations(operations.DatabaseOperations):
    def sql_flush(self, style: Any, tables: Any, **wishes: Any) -> list[str]:
        return append_only.around(self.connection, tables, super().sql_flush(style, tables, **wishes))


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    _line: Line | None = None  # in which it is this connection's turn

    def get_new_connection(self, conn_params: Any) -> Any:
        new = super().get_new_connection(conn_params)
        new.create_function("promptops_folded", 1, _folded, deterministic=True)
        return new

    def _start_transaction_under_autocommit(self) -> None:
        line = _lines[str(self.settings_dict["NAME"])]
        with turns.waiting(first=True):  # others wait for who is let in
            entered = line.enter(PATIENCE)
        if not entered:
            raise OperationalError("database is locked")
        self._line = line
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # missing in the stubs
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.leave()

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._leave()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _set_autocommit(self, autocommit: bool) -> None:
        try:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._leave()
