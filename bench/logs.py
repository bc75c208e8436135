"""Lists and statistics of a long log: as quick at a million rows as at ten thousand?

`python -m bench logs` calls this in a process of its own, on the database of the environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
os.environ.setdefault("PROMPTOPS_LOG_LEVEL", "WARNING")
django.setup()

from django.conf import settings  # noqa: E402  # after the app registry
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from governance import log_counts  # noqa: E402

#: Rows are spread over thirty days, four providers, five keys and three versions, as a steady application makes them.
DAYS = 30


def fill(rows: int) -> None:
    """So many runs with their tallies, and as many audit entries, made by the database itself."""
    from governance import tallies

    sqlite = connection.vendor == "sqlite"
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {rows - 1}) "
        if sqlite
        else f"WITH n AS (SELECT generate_series(0, {rows - 1}) AS i) "
    )
    seconds = f"i * {DAYS * 86400 / rows}"
    at = (
        f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{DAYS} days', ({seconds}) || ' seconds')"
        if sqlite
        else f"now() - interval '{DAYS} days' + ({seconds}) * interval '1 second'"
    )
    identity = "lower(hex(randomblob(16)))" if sqlite else "gen_random_uuid()"
    no, empty = ("0", "'{}'") if sqlite else ("false", "'{}'::jsonb")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM governance_run")
        cursor.execute("DELETE FROM governance_auditentry")
        cursor.execute(
            numbers + "INSERT INTO governance_run (id, workspace_id, source, ref_key, environment, version, variant, "
            "provider, model, prompt_tokens, output_tokens, tokens_estimated, latency_ms, status, error, actor, "
            "created_at) "
            f"SELECT {identity}, 'default', 'agent', 'key-' || (i % 5), 'prod', 'v' || (i % 3), '', "
            f"'provider-' || (i % 4), 'model', i % 1000, i % 500, {no}, i % 3000, "
            f"CASE WHEN i % 50 = 0 THEN 'error' ELSE 'ok' END, '', 'bench', {at} FROM n"
        )
        cursor.execute(
            numbers + "INSERT INTO governance_auditentry (id, action, resource, resource_id, key, summary, actor, "
            "workspace_id, changes, request_id, created_at) "
            f"SELECT {identity}, 'update', 'prompt', 'x', 'key-' || (i % 5), 'Changed', 'bench', 'default', {empty}, "
            f"'', {at} FROM n"
        )
    log_counts.count()
    tallies.rebuild()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if sqlite else "VACUUM ANALYZE")


def cases(rows: int) -> dict[str, str]:
    deep = rows * 9 // 10
    month = "since=2000-01-01T00:00:00Z"
    return {
        "runs, first page": "/api/runs",
        f"runs, offset {deep:,}": f"/api/runs?offset={deep}",
        f"runs of a workspace, offset {deep:,}": f"/api/runs?workspace=default&offset={deep}",
        "runs of a key, first page": "/api/runs?key=key-1",
        "audit, first page": "/api/audit",
        f"audit, offset {deep:,}": f"/api/audit?offset={deep}",
        "stats": "/api/runs/stats",
        "stats of a key": f"/api/runs/stats?key=key-1&{month}",
    }


def measure(rows: int) -> dict[str, float]:
    """Milliseconds for each case through the whole of Django, the best of five."""
    client = Client(headers={"Authorization": f"Bearer {settings.PROMPTOPS_TOKEN}"})

    def timed(path: str) -> float:
        began = time.perf_counter()
        answer = client.get(path)
        assert answer.status_code == 200, answer.content  # noqa: S101
        return (time.perf_counter() - began) * 1000

    client.get("/api/runs")
    return {name: round(min(timed(path) for _ in range(5)), 1) for name, path in cases(rows).items()}


def main(write: Callable[[str], Any] = sys.stdout.write) -> None:
    for rows in map(int, sys.argv[1:]):
        fill(rows)
        write(json.dumps({"rows": rows, "database": connection.vendor, "ms": measure(rows)}) + "\n")


if __name__ == "__main__":
    main()
