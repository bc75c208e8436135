"""The home page's panel of the last day."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.clients.connections import FORGET_AFTER
from governance.clients.models import Connection
from governance.core.db import ago
from governance.runs import statistics
from governance.runs.models import Grain, Run, RunTally
from governance.runs.rollups import floor, following

HOUR = timedelta(hours=1)


def last_day(actor: Actor) -> dict[str, Any]:
    """Who is connected now, and the runs of the last 24 hours with a bar for each. Six queries."""
    until = following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    since = until - 24 * HOUR
    running = visible_to(actor, Run.objects.filter(pk__in=statistics.running()))
    figures = statistics.of(visible_to(actor, RunTally.objects.all()), running, since=since, until=until)
    connections = visible_to(actor, Connection.objects.filter(process__seen_at__gt=ago(FORGET_AFTER))).count()
    return {
        "connections": connections,
        "figures": figures,
        "tokens": figures["prompt_tokens"] + figures["output_tokens"],
        "chart": _chart(figures["series"], since, until),
    }


def _chart(series: list[dict[str, Any]], since: datetime, until: datetime) -> dict[str, Any]:
    """What chart.js draws: all runs of each hour, and before them those that failed."""
    hours = [since + number * HOUR for number in range(int((until - since) / HOUR))]
    points = {point["start"]: point for point in series}
    counts = [points[hour]["count"] if hour in points else 0 for hour in hours]
    errors = [points[hour]["error"] if hour in points else 0 for hour in hours]
    return {
        "times": [int(hour.timestamp()) for hour in hours],
        "series": [
            {"label": "Runs", "values": counts, "kind": "bars", "color": 1},
            {"label": "Errors", "values": errors, "kind": "bars", "color": 2},
        ],
    }
