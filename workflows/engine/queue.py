"""The durable queue that hands segments of runs to processes: DBOS Transact. No other module knows it.

    launch(process_id, work)   this process takes segments from the queue, and calls `work` for each
    enqueue(segments)          put segments into the queue; each is there once, however often it is put there
    stop()                     take no more

What DBOS does here: it keeps the queue on the disk, hands each segment to one process (deduplicated by an id made of
the run and the segment's number), and limits how many a process has at once. What it could do as well, and why our own
code does it (docs/adr/0009):

- Steps as its checkpoints: each would be written twice, since the API shows them from our rows.
- Delayed enqueueing for waits, deadlines: the moment is in the run's row, which people see, change by a decision, and
  which outlives the engine's file; finding what is due is one query there, and has to be made even so.
- Cancelling: it stops a workflow between two steps of its own, and a segment has none. A segment of a run that was
  cancelled gets no lease, so nothing has to be taken out of the queue.
- Recovery: it goes by executor ids that somebody has to name; nobody in it notices a dead process.
- Schedules: it would have to run, and poll, in servers that start no run; and a schedule here is a row that says why
  its last start failed, and knows what a time of day means when the clocks are changed.

It is imported and launched when the first run comes: servers that run none pay nothing.
"""

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from governance.core import turns

if TYPE_CHECKING:
    from dbos import DBOS

logger = logging.getLogger("promptops.workflows")

QUEUE, NAME = "runs", "promptops"
#: The name of the one workflow that DBOS has, and its version: segments of every release are the same to it, since what
#: they mean is in our rows. Both are stored in its tables.
WORKFLOW = "leg"
APPLICATION_VERSION = "1"
POLL = 0.2  # seconds between two looks of the queue
RETENTION = 3600.0  # seconds that DBOS's rows of segments that ended are kept

#: A run's id and the number of its segment.
Segment = tuple[uuid.UUID, int]
Work = Callable[[uuid.UUID, int], None]

_lock = threading.Lock()
_running: "type[DBOS] | None" = None


def is_running() -> bool:
    return _running is not None


def launch(process_id: uuid.UUID, work: Work) -> None:
    """Start it in this process, unless it was: from here on `work` is called for segments, each on a thread of its own.

    `process_id` is the executor's id, and new with each process: with one that is used twice, segments are executed
    twice.
    """
    global _running
    with _lock:
        if _running is not None:
            return
        logging.getLogger("dbos").addHandler(logging.NullHandler())  # else it brings one of its own
        from dbos import DBOS, DBOSPortableJSONSerializer  # half a second

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def segment(run_id: str, number: int) -> None:
            turns.work(work, uuid.UUID(run_id), number)

        DBOS(
            config={
                "name": NAME,
                "system_database_url": _address(),
                "sys_db_pool_size": 4,
                "executor_id": str(process_id),
                "application_version": APPLICATION_VERSION,
                "serializer": DBOSPortableJSONSerializer(),  # never pickle: rows are not code
                "use_listen_notify": False,
                "enable_otlp": False,
                "log_level": "WARNING",
            }
        )
        logging.getLogger("dbos").propagate = True
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=settings.PROMPTOPS_WORKFLOW_CONCURRENCY,
            polling_interval_sec=POLL,
            on_conflict="always_update",
        )
        _running = DBOS
        logger.info("the engine runs, as executor %s", process_id)


def stop() -> None:
    """Take no more segments. Those under way are not waited for."""
    global _running
    with _lock:
        running, _running = _running, None
        if running is not None:
            running.destroy(destroy_registry=True)


def enqueue(segments: Iterable[Segment]) -> None:
    """Put segments into the queue. One that is there already stays as it is."""
    engine = _engine()
    for run_id, number in segments:
        engine.enqueue_workflow_with_options(
            {
                "queue_name": QUEUE,
                "workflow_name": WORKFLOW,
                "workflow_id": _id(run_id, number),
                "app_version": APPLICATION_VERSION,
            },
            str(run_id),
            number,
        )


def knows(segments: Iterable[Segment]) -> set[Segment]:
    """Those of these segments that are in the queue or under way, as far as the engine knows."""
    ids = {_id(*segment): segment for segment in segments}
    if not ids:
        return set()
    found = _engine().list_workflows(
        workflow_ids=list(ids), status=["ENQUEUED", "PENDING", "DELAYED"], load_input=False, load_output=False
    )
    return {ids[row.workflow_id] for row in found}


def executors(segments: Iterable[Segment]) -> dict[Segment, uuid.UUID]:
    """Which process took these segments from the queue; those that nobody took are left out."""
    ids = {_id(*segment): segment for segment in segments}
    if not ids:
        return {}
    rows = _engine().list_workflows(workflow_ids=list(ids), status="PENDING", load_input=False, load_output=False)
    return {ids[row.workflow_id]: uuid.UUID(row.executor_id) for row in rows if row.executor_id}


def forget() -> int:
    """Delete the rows that DBOS has of segments that are long over; returns how many."""
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - RETENTION))
    ended = _engine().list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before,
        limit=1000,
        load_input=False,
        load_output=False,
    )
    if ended:
        _engine().delete_workflows([row.workflow_id for row in ended])
    return len(ended)


def _engine() -> "type[DBOS]":
    assert _running is not None, "the engine was not launched"  # noqa: S101
    return _running


def _id(run_id: uuid.UUID, number: int) -> str:
    return f"{run_id}:{number}"


def _address() -> str:
    """The engine's own tables: beside ours on PostgreSQL, in the schema `dbos`; in a file of their own on SQLite."""
    if connection.vendor == "sqlite":
        return f"sqlite:///{_file()}"
    from sqlalchemy import URL  # comes with the engine

    values: dict[str, Any] = settings.DATABASES["default"]
    options = {
        name: str(value) for name, value in values.get("OPTIONS", {}).items() if name not in ("pool", "connect_timeout")
    }
    url = URL.create(
        "postgresql+psycopg",
        username=values["USER"] or None,
        password=values["PASSWORD"] or None,
        host=values["HOST"] or None,
        port=int(values["PORT"]) if values["PORT"] else None,
        database=values["NAME"],
        query=options,
    )
    return url.render_as_string(hide_password=False)


def _file() -> Path:
    path = Path(settings.DATA_DIR) / "engine.sqlite3"
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA journal_mode=WAL")  # it stays so; the engine would not
    file.close()
    return path
