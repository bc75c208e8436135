"""The home page's panels. Each app adds its own when it starts; promptops puts the page together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from governance import statistics
from governance.actors import Actor
from governance.db import ago
from governance.models import Connection, Grain, Run, RunTally
from governance.permissions import may
from governance.querysets import visible_to
from governance.realtime.registry import FORGET_AFTER
from governance.tallies import floor, following

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A box of the home page. `facts` gets what its template shows, scoped, in a fixed number of queries.

    `place` orders panels, the smallest first; `wide` takes a whole row. Who lacks `capability` doesn't get it.
    """

    title: str
    template: str
    facts: Callable[[Actor], dict[str, Any]]
    capability: str
    place: int
    wide: bool = False


panels: list[Panel] = []


def panels_for(actor: Actor) -> list[dict[str, Any]]:
    """Each panel that `actor` may see, with its facts."""
    allowed = [panel for panel in panels if may(actor, panel.capability)]
    return [{"panel": panel, **panel.facts(actor)} for panel in sorted(allowed, key=lambda panel: panel.place)]


def last_day(actor: Actor) -> dict[str, Any]:
    """Who is connected now, and the runs of the last 24 hours with a bar for each. Six queries."""
    until = following(floor(timezone.now(), Grain.HOUR), Grain.HOUR)
    since = until - 24 * HOUR
    going = visible_to(actor, Run.objects.filter(pk__in=statistics.running()))
    figures = statistics.of(visible_to(actor, RunTally.objects.all()), going, since=since, until=until)
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
