"""Leases: the right of one process to execute a run, and the segments that this process executes."""

import threading
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import QuerySet
from django.utils import timezone

from workflows.models import RunState, WorkflowRun
from workflows.steps.journal import Stopped


class LeaseLostError(Stopped):
    """Another process has the run by now, or it is over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to execute a run. `token` is a fencing token: each lease of the run has a higher one than the last."""

    run_id: uuid.UUID
    token: int

    @classmethod
    def of(cls, run: WorkflowRun) -> "Lease":
        """The lease by which this process got the run, as it read it then."""
        return cls(run.pk, run.fencing_token)

    def rows(self) -> QuerySet[WorkflowRun]:
        """The run's row; empty when the lease is lost."""
        return WorkflowRun.objects.filter(pk=self.run_id, fencing_token=self.token, status=RunState.RUNNING)

    def confirm(self, **values: Any) -> None:
        """Make sure, until the transaction ends, that the lease holds. `values` are written beside.

        Raises LeaseLostError.
        """
        if not self.rows().update(changed_at=timezone.now(), **values):
            raise LeaseLostError


class Executing(Protocol):
    """A segment that this process executes."""

    lease: Lease

    def cancel(self) -> None:
        """Stop it where it is. It may be called on any thread."""


class LocalSegments:
    """The segments that this process executes. All methods may be called on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segments: dict[uuid.UUID, Executing] = {}
        self._stopping = False

    def add(self, segment: Executing) -> None:
        with self._lock:
            self._segments[segment.lease.run_id] = segment

    def remove(self, segment: Executing) -> None:
        with self._lock:
            if self._segments.get(segment.lease.run_id) is segment:
                del self._segments[segment.lease.run_id]

    def all(self) -> list[Executing]:
        with self._lock:
            return list(self._segments.values())

    def is_stopping(self) -> bool:
        """Whether this process is about to end: each segment is given back where its next step would begin."""
        return self._stopping

    def set_stopping(self, stopping: bool) -> None:
        self._stopping = stopping


local = LocalSegments()
