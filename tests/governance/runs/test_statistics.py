"""Statistics of runs: what the log would say, without reading it."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.runs import log, rollups, statistics
from governance.runs.models import BUCKETS, Grain, RunTally
from governance.tenancy.models import Workspace

NOW = datetime(2026, 2, 26, 22, 15, tzinfo=UTC)
#: Filters by their names in the query, and the fields of an entry that they look at.
FILTERS = {"source": "source", "ref_key": "ref_key", "key": "ref_key", "env": "env", "provider": "provider"}
FILTERS |= {"model": "model", "version": "version", "variant": "variant", "workspace": "workspace_id"}


@pytest.fixture
def entries(static: APIClient, other_workspace: Workspace) -> list[dict[str, Any]]:
    """Eighty runs of every kind over two days around the end of a month, as the list has them, newest first."""
    draw = random.Random(7)
    for number in range(80):
        with time_machine.travel(NOW + timedelta(minutes=37 * number), tick=False):
            run = log.start(
                actor=SYSTEM,
                workspace_id=draw.choice(["default", other_workspace.pk]),
                source=draw.choice(["playground", "agent", "workflow"]),
                ref_key=draw.choice(["", "greeting", "helper"]),
                environment=draw.choice(["", "dev", "prod"]),
                version=draw.choice(["", "v1", "v2"]),
                variant=draw.choice(["", "A", "B"]),
                provider=draw.choice(["mock", "openai", "claude"]),
                model="asked",
            )
            run.stopped = run.started + draw.choice([0, 0.0014, 0.25, 2])
            used: dict[str, Any] = {
                "prompt_tokens": draw.choice([None, 0, 3, 1000]),
                "output_tokens": draw.choice([None, 0, 5, 2000]),
                "cached_tokens": draw.choice([None, 2]),
                "cost_usd": draw.choice([None, "0.00000123", "0.5"]),
            }
            end = draw.choice(["ok", "ok", "error", "interrupted", "running"])
            if end == "ok":
                log.finish(run, provider="mock", model=draw.choice(["mock-1", "gpt"]), **used)
            elif end == "error":
                log.fail(run, "no", **used)
            elif end == "interrupted":
                log.interrupt({run.id})
    found: list[dict[str, Any]] = static.get("/api/runs", {"limit": 200}).json()["data"]
    assert len(found) == 80
    return found


def figures(ended: list[dict[str, Any]]) -> dict[str, Any]:
    latencies = [entry["latency_ms"] for entry in ended if entry["latency_ms"] is not None]
    statuses = Counter(entry["status"] for entry in ended)
    return {
        "count": len(ended),
        "ok": statuses["ok"],
        "error": statuses["error"] + statuses["interrupted"],
        "prompt_tokens": sum(entry["prompt_tokens"] or 0 for entry in ended),
        "output_tokens": sum(entry["output_tokens"] or 0 for entry in ended),
        "cached_tokens": sum(entry["cached_tokens"] or 0 for entry in ended),
        "cost_usd": pytest.approx(sum(entry["cost_usd"] or 0 for entry in ended)),
        "unpriced": sum(entry["cost_usd"] is None for entry in ended),
        "avg_latency_ms": pytest.approx(sum(latencies) / len(latencies) if latencies else 0, abs=0.06),
    }


def quantiles(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figures.pop(name) for name in ("p50_latency_ms", "p95_latency_ms")}


def check(client: APIClient, query: dict[str, str], expected: list[dict[str, Any]]) -> None:
    """The list and its statistics are what the filters leave."""
    assert client.get("/api/runs", {**query, "limit": "200"}).json() == {"data": expected, "total": len(expected)}
    stats = client.get("/api/runs/stats", query).json()
    ended = [entry for entry in expected if entry["status"] != "running"]
    totals = figures(ended)
    del totals["count"]
    assert {name: stats[name] for name in totals} == totals
    assert (stats["total"], stats["running"]) == (len(expected), len(expected) - len(ended))
    for name in ("model", "version", "variant"):
        rows = {row.pop(name): row for row in stats[f"by_{name}"]}
        for row in rows.values():
            quantiles(row)
        assert rows == {
            value: figures([entry for entry in ended if entry[name] == value])
            for value in {entry[name] for entry in ended}
        }
    providers = Counter(entry["provider"] for entry in expected)
    assert [(row["provider"], row["count"]) for row in stats["by_provider"]] == sorted(
        providers.items(), key=lambda pair: (-pair[1], pair[0])
    )
    assert sum(point["count"] for point in stats["series"]) == len(ended)
    assert sum(point["output_tokens"] for point in stats["series"]) == totals["output_tokens"]


@pytest.mark.parametrize("name", FILTERS)
def test_list_and_statistics_are_of_the_runs_that_a_filter_leaves(
    name: str, entries: list[dict[str, Any]], static: APIClient
) -> None:
    check(static, {}, entries)
    check(static, {name: "no such thing"}, [])
    for value in sorted({entry[FILTERS[name]] for entry in entries} - {""}):
        check(static, {name: value}, [entry for entry in entries if entry[FILTERS[name]] == value])


def hours() -> Iterator[datetime]:
    first = NOW.replace(minute=0)
    yield from (first + timedelta(hours=number) for number in range(0, 52, 7))


def test_windows_of_whole_hours_count_just_the_runs_in_them_over_days_and_months(
    entries: list[dict[str, Any]], static: APIClient
) -> None:
    marks = list(hours())
    for since in marks:
        for until in marks:
            window = {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("since", since), ("until", until))}
            inside = [entry for entry in entries if window["since"] <= entry["created_at"] < window["until"]]
            check(static, window, inside)


def test_filters_hold_together(entries: list[dict[str, Any]], static: APIClient) -> None:
    since = NOW.replace(minute=0) + timedelta(hours=20)
    text = since.isoformat().replace("+00:00", "Z")
    expected = [entry for entry in entries if entry["created_at"] >= text and entry["source"] == "agent"]
    expected = [entry for entry in expected if entry["provider"] == "mock"]
    assert expected
    check(static, {"since": text, "provider": "mock", "source": "agent"}, expected)


def test_a_window_within_an_hour_is_taken_as_the_whole_hour_and_the_answer_says_so(
    entries: list[dict[str, Any]], static: APIClient
) -> None:
    window = {"since": "2026-02-27T03:10:00Z", "until": "2026-02-27T04:00:01+00:00"}
    stats = static.get("/api/runs/stats", window).json()
    assert (stats["since"], stats["until"]) == ("2026-02-27T03:00:00Z", "2026-02-27T05:00:00Z")
    assert stats["interval"] == "hour"
    inside = [row for row in entries if "2026-02-27T03" <= row["created_at"] < "2026-02-27T05"]
    assert stats["total"] == len(inside)


@pytest.mark.parametrize("name", ["status", "actor"])
def test_what_statistics_cannot_be_had_by_is_refused(static: APIClient, name: str) -> None:
    refused = static.get("/api/runs/stats", {name: "ok"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, [name])


def test_statistics_cost_the_same_number_of_queries_for_one_run_and_for_eighty(
    static: APIClient, entries: list[dict[str, Any]]
) -> None:
    def queries(**query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert static.get("/api/runs/stats", query).status_code == 200
        return len(captured)

    newest = entries[0]["created_at"]
    assert queries(since="2000-01-01T00:00:00Z") == queries(since=newest) <= 4


def snapshot() -> list[tuple[Any, ...]]:
    return sorted(map(tuple, RunTally.objects.values_list("grain", "start", "digest", *rollups.COUNTS)))


def test_counting_anew_comes_to_the_same(entries: list[dict[str, Any]]) -> None:
    before = snapshot()
    assert rollups.rebuild() == sum(entry["status"] != "running" for entry in entries)
    assert snapshot() == before
    call_command("tally")
    assert snapshot() == before


@pytest.mark.django_db(transaction=True)
def test_runs_that_end_at_the_same_time_on_many_threads_are_all_counted(workspace: Workspace) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            run = log.start(actor=SYSTEM, workspace_id=workspace.pk, source="agent", ref_key=f"k{number % 2}")
            log.finish(run, provider="mock", model="m", prompt_tokens=1, output_tokens=2)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = RunTally.objects.filter(grain=Grain.MONTH).values_list("ref_key", "ok", "output_tokens")
    assert sorted(counted) == [("k0", 40, 80), ("k1", 40, 80)]
    before = snapshot()
    rollups.rebuild()
    assert snapshot() == before


moments = st.datetimes(
    datetime(2024, 1, 1),
    datetime(2027, 12, 31),
    timezones=st.just(UTC),  # hypothesis wants them naive
).map(lambda moment: rollups.floor(moment, Grain.HOUR))


@given(moments, moments, st.sampled_from(Grain.values))
def test_spans_hold_each_hour_of_a_window_once_and_start_and_end_where_their_grain_does(
    since: datetime, until: datetime, largest: str
) -> None:
    at = since
    for grain, start, end in statistics.spans(since, until, largest):
        assert start == at < end
        assert (rollups.floor(start, grain), rollups.floor(end, grain)) == (start, end)
        at = end
    assert at == max(since, until) if since < until else at == since


@given(st.lists(st.integers(0, 900_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_quantile_is_in_the_bucket_of_the_true_one(latencies: list[int], q: float) -> None:
    counts = [0] * BUCKETS
    for latency in latencies:
        counts[rollups.bucket_of(latency)] += 1
    ordered = sorted(latencies)
    true = ordered[max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1)]
    found = statistics.quantile(counts, q)
    assert found is not None
    bucket = rollups.bucket_of(true)
    assert (0 if bucket == 0 else 2 ** (bucket / 2) - 0.1) <= found <= 2 ** ((bucket + 1) / 2) + 0.1


def test_there_is_no_quantile_of_nothing() -> None:
    assert statistics.quantile([0] * BUCKETS, 0.5) is None
