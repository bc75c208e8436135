"""What becomes of a run whose end can't be written, since the database is away."""

import contextlib
import time
from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from agents.runtime import execution
from governance.runs import log
from governance.runs.models import Run


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["any", "mock-malformed"])
def test_it_is_closed_with_what_came_of_it_when_the_database_is_back(
    viewer: APIClient, monkeypatch: pytest.MonkeyPatch, model: str, stream: bool
) -> None:
    close, tries = log._close, []

    def away_at_first(run: log.OpenRun, *args: Any, **fields: Any) -> None:
        tries.append(run)
        if len(tries) == 1:
            raise OperationalError("the server closed the connection")
        close(run, *args, **fields)

    monkeypatch.setattr(log, "_close", away_at_first)
    answer: Any = viewer.post("/api/playground/run", {"content": "Hi", "model": model, "stream": stream})
    if answer.status_code == 200:
        with contextlib.suppress(OperationalError):
            b"".join(answer)
    else:
        assert answer.status_code == 503
    deadline = time.monotonic() + 10
    while Run.objects.filter(status="running").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert Run.objects.get().status == ("ok" if model == "any" else "error")


@pytest.mark.django_db(transaction=True)
def test_what_the_work_itself_met_is_written_once(viewer: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise OperationalError("the server closed the connection")

    def counted(*args: Any, **fields: Any) -> None:
        closed.append(args)
        close(*args, **fields)

    close, closed = log._close, list[Any]()
    monkeypatch.setattr(execution, "_done", away)
    monkeypatch.setattr(log, "_close", counted)
    assert viewer.post("/api/playground/run", {"content": "Hi"}).status_code == 503
    time.sleep(2.5)
    assert (len(closed), Run.objects.get().status) == (1, "error")
