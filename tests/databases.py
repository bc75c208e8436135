"""Which tests run on which database.

Every test runs on SQLite, and on PostgreSQL as well: that is the default, so that no new test is left out by accident.
The modules listed here run on SQLite alone, because their subject cannot behave differently on PostgreSQL. What can,
among their tests, is marked `both_databases`. `make test-all` runs everything on both.
"""

from pathlib import Path

import pytest

SAME_ON_EACH = [
    # Clients and pages: they know the server over HTTP alone.
    "browser",
    "foreign",
    "sdk",
    # No database is asked.
    "agents/providers/test_answers.py",
    "agents/runtime/test_json_answers.py",
    "governance/core/test_diffs.py",
    "governance/core/test_logs.py",
    "governance/core/test_turns.py",
    "promptops/test_expressions.py",
    "promptops/server/test_gate.py",
    "promptops/test_watch.py",
    "prompts/content",
    "prompts/test_assignment.py",
    "workflows/triggers/test_cron.py",
    # They start servers of their own, which have SQLite whatever the suite runs on.
    "promptops/server/test_behind_a_proxy.py",
    "promptops/server/test_connections.py",
    "promptops/server/test_proxies.py",
    "promptops/server/test_server.py",
    "promptops/test_start.py",
    "prompts/delivery/test_fastlane.py",
    # How long a socket may take nothing is the server's own affair, and takes minutes to try.
    "governance/realtime/test_realtime_bounds.py",
    # What goes out to models and services, and what comes back: the rows around it are those of every other run.
    "agents/providers/test_answers_at_work.py",
    "agents/providers/test_provider_failures.py",
    "agents/runtime/test_http_tools.py",
    "agents/transport",
    "workflows/definition/test_expressions.py",
    "workflows/steps",
    # Requests that are refused before a row is looked at; what reaches the database is marked.
    "contract/refusals",
    # The schema alone, and the sweep of each operation: lists, and one row of each kind, are marked.
    "contract/test_openapi.py",
    "contract/test_schema.py",
]

TESTS = Path(__file__).parent
_PLACES = [TESTS / place for place in SAME_ON_EACH]


def is_the_same_on_each(item: pytest.Item) -> bool:
    """Whether it is enough to run this test on SQLite."""
    return any(map(item.path.is_relative_to, _PLACES)) and item.get_closest_marker("both_databases") is None


def stale() -> list[str]:
    """What is listed and is not there (any more)."""
    return [listed for listed, place in zip(SAME_ON_EACH, _PLACES, strict=True) if not place.exists()]
