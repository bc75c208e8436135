"""The run log and its statistics (contract, section 2)."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.models import Run, RunStatus, Workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Filters by their names in the query, and the fields of an entry that they look at.
FILTERS = {"source": "source", "ref_key": "ref_key", "env": "env", "provider": "provider", "model": "model"}
FILTERS |= {"status": "status", "actor": "actor", "workspace": "workspace_id"}


@pytest.fixture
def entries(static: APIClient, other_workspace: Workspace) -> list[dict[str, Any]]:
    """Forty runs of every kind, as the list has them."""
    draw = random.Random(7)
    runs = Run.objects.bulk_create(
        Run(
            workspace_id=draw.choice(["default", other_workspace.pk]),
            source=draw.choice(["playground", "agent", "workflow"]),
            ref_key=draw.choice(["", "greeting", "helper"]),
            environment=draw.choice(["", "dev", "prod"]),
            provider=draw.choice(["mock", "openai", "claude"]),
            model=draw.choice(["mock-1", "gpt"]),
            prompt_tokens=draw.choice([None, 0, 3, 1000]),
            output_tokens=draw.choice([None, 0, 5, 2000]),
            latency_ms=draw.choice([None, 1, 250]),
            status=draw.choice(RunStatus.values),
            actor=draw.choice(["ada", "grace"]),
        )
        for _ in range(40)
    )
    for number, run in enumerate(runs):
        Run.objects.filter(pk=run.pk).update(created_at=NOW + timedelta(minutes=number))
    found: list[dict[str, Any]] = static.get("/api/runs", {"limit": 200}).json()["data"]
    assert len(found) == 40
    return found


def statistics(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the statistics are, said by the list."""
    statuses = Counter(entry["status"] for entry in entries)
    latencies = [entry["latency_ms"] for entry in entries if entry["latency_ms"] is not None]
    providers = Counter(entry["provider"] for entry in entries)
    return {
        "total": len(entries),
        "ok": statuses["ok"],
        "error": statuses["error"] + statuses["interrupted"],
        "running": statuses["running"],
        "prompt_tokens": sum(entry["prompt_tokens"] or 0 for entry in entries),
        "output_tokens": sum(entry["output_tokens"] or 0 for entry in entries),
        "avg_latency_ms": pytest.approx(sum(latencies) / len(latencies) if latencies else 0, abs=0.06),
        "by_provider": [
            {"provider": name, "count": count}
            for name, count in sorted(providers.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
    }


def check(client: APIClient, query: dict[str, str], expected: list[dict[str, Any]]) -> None:
    """The list and its statistics are what the filters leave."""
    assert client.get("/api/runs", {**query, "limit": "200"}).json() == {"data": expected, "total": len(expected)}
    assert client.get("/api/runs/stats", query).json() == statistics(expected)


@pytest.mark.parametrize("name", FILTERS)
def test_list_and_statistics_are_of_the_runs_that_a_filter_leaves(
    name: str, entries: list[dict[str, Any]], static: APIClient
) -> None:
    check(static, {}, entries)
    check(static, {name: "no such thing"}, [])
    for value in sorted({entry[FILTERS[name]] for entry in entries} - {""}):
        check(static, {name: value}, [entry for entry in entries if entry[FILTERS[name]] == value])


def test_filters_hold_together(entries: list[dict[str, Any]], static: APIClient) -> None:
    middle = entries[19]["created_at"]
    check(static, {"since": middle}, entries[:20])
    check(static, {"until": middle}, entries[20:])
    expected = [entry for entry in entries[:20] if entry["provider"] == "mock" and entry["actor"] == "ada"]
    assert expected
    check(static, {"since": middle, "provider": "mock", "actor": "ada"}, expected)


def test_an_entry_has_the_contracts_fields_and_is_found_by_its_id(
    entries: list[dict[str, Any]], static: APIClient
) -> None:
    assert entries[0].keys() >= {
        *("id", "source", "ref_key", "provider", "model", "prompt_tokens", "output_tokens", "latency_ms"),
        *("status", "error", "created_at"),
    }
    assert static.get(f"/api/runs/{entries[0]['id']}").json()["data"] == entries[0]


def test_a_run_of_the_playground_is_in_the_log_with_who_ran_it(viewer: APIClient) -> None:
    done = viewer.post("/api/playground/run", {"content": "Hi", "provider": "mock"}).json()
    (entry,) = viewer.get("/api/runs").json()["data"]
    assert (entry["id"], entry["source"], entry["status"], entry["actor"]) == (
        done["run_id"],
        "playground",
        "ok",
        "viewer-0",
    )
    stats = viewer.get("/api/runs/stats").json()
    assert (stats["total"], stats["ok"], stats["prompt_tokens"]) == (1, 1, done["result"]["prompt_tokens"])
