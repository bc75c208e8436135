"""Lists and statistics of a long log: as quick at a million rows as at ten thousand?

`python -m bench logs` calls this in a process of its own, on the database of the environment.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
os.environ.setdefault("PROMPTOPS_LOG_LEVEL", "WARNING")
django.setup()

from django.conf import settings  # noqa: E402  # after the app registry
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.load.pages import best, logged_in  # noqa: E402
from governance.access.roles import Role  # noqa: E402
from governance.core import append_only  # noqa: E402
from governance.history import counts  # noqa: E402
from governance.runs.models import Run  # noqa: E402

#: Rows are spread over thirty days, four providers, five keys and three versions, as a steady application makes them.
DAYS = 30


def fill(rows: int) -> None:
    """So many runs with their tallies, and as many audit entries, made by the database itself."""
    from governance.runs import rollups

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
    with append_only.lifted(), connection.cursor() as cursor:
        for table in ("governance_run", "governance_auditentry", "governance_logcount"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute(
            numbers + "INSERT INTO governance_run (id, workspace_id, source, ref_key, environment, version, variant, "
            "provider, model, prompt_tokens, output_tokens, tokens_estimated, latency_ms, status, error, actor, "
            "actor_identity, created_at) "
            f"SELECT {identity}, 'default', 'agent', 'key-' || (i % 5), 'prod', 'v' || (i % 3), '', "
            f"'provider-' || (i % 4), CASE WHEN i % {rows // 13} = 5 THEN 'rare' ELSE 'model' END, "
            f"i % 1000, i % 500, {no}, i % 3000, "
            f"CASE WHEN i % 50 = 0 THEN 'error' ELSE 'ok' END, '', 'bench', 'system', {at} FROM n"
        )
        cursor.execute(
            numbers + "INSERT INTO governance_auditentry (id, action, resource, resource_id, key, summary, actor, "
            "actor_kind, actor_id, workspace_id, changes, request_id, created_at) "
            f"SELECT {identity}, 'update', 'prompt', 'x', 'key-' || (i % 5), 'Changed', "
            f"CASE WHEN i % {rows // 13} = 5 THEN 'rare' ELSE 'bench' END, 'system', '', 'default', {empty}, "
            f"'', {at} FROM n"
        )
    counts.count()
    rollups.rebuild()
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


def pages(rows: int) -> dict[str, str]:
    """Pages of the back office; `rare` is a model that 13 runs have, spread over all of the log."""
    runs, audit, deep = "/admin/governance/run/", "/admin/governance/auditentry/", rows * 9 // 10 // 50
    month = f"since={timezone.now() - timedelta(days=20):%Y-%m-%dT%H:00}"
    return {
        "page of runs, first": runs,
        f"page of runs, number {deep:,}": f"{runs}?p={deep}",
        "page of runs of a provider": f"{runs}?provider=provider-1",
        "page of runs of a provider, failed, last": f"{runs}?provider=provider-2&status=error&p={rows // 100 // 50}",
        "page of runs of a key and a version, half-way": f"{runs}?key=key-1&version=v1&p={rows // 15 // 50 // 2}",
        "page of runs of a rare model": f"{runs}?model=rare",
        "page of runs of a window, failed, in prod": f"{runs}?{month}&status=error&environment=prod",
        "page of a run": f"{runs}{Run.objects.order_by('created_at').values_list('pk', flat=True)[7]}/change/",
        "page of audit entries, first": audit,
        f"page of audit entries, number {deep:,}": f"{audit}?p={deep}",
        "page of audit entries of a key": f"{audit}?key=key-1",
        "page of audit entries of a rare actor": f"{audit}?actor=rare",
        "page of audit entries of nobody": f"{audit}?actor=nobody&action=update",
        "page of statistics by model, 30 days": f"{runs}stats/?window=month&by=model",
        "figures of statistics by model, 30 days": f"{runs}stats/data/?window=month&by=model",
    }


def measure(rows: int) -> dict[str, float]:
    """Milliseconds for each case through the whole of Django, the best of five."""
    client = Client(headers={"Authorization": f"Bearer {settings.PROMPTOPS_TOKEN}"})
    best(client, "/api/runs", times=1)  # loads what is loaded once
    found = {name: best(client, path) for name, path in cases(rows).items()}
    for role in (Role.ADMIN, Role.VIEWER):
        person = logged_in(role)
        found |= {f"{name}; {role}": best(person, path) for name, path in pages(rows).items()}
    return found


def main(write: Callable[[str], Any] = sys.stdout.write) -> None:
    for rows in map(int, sys.argv[1:]):
        fill(rows)
        write(json.dumps({"rows": rows, "database": connection.vendor, "ms": measure(rows)}) + "\n")


if __name__ == "__main__":
    main()
