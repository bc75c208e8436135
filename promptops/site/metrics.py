"""Metrics for Prometheus at /metrics: of this process, and of what all processes share.

They cover all workspaces and contain no texts, so they need an admin's token. That a request comes from the machine
itself proves nothing: a proxy on it may have passed it on.
"""

import logging
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from governance.access.roles import Role
from governance.api.exceptions import json_error, unavailable
from governance.clients.models import Connection
from governance.core.errors import DomainError, ForbiddenError, UnauthorizedError
from governance.identity.addresses import address_of
from governance.identity.authentication import authenticate
from governance.identity.credentials.bearer import bearer_of
from governance.realtime import runtime
from governance.runs import slots
from governance.runs.models import Grain, Run, RunStatus, RunTally
from promptops import __version__
from promptops.server import draining
from prompts.delivery.fastlane import served

logger = logging.getLogger("promptops.metrics")

_COUNTED = ("ok", "error", "interrupted")
_USED = {"prompt_tokens": "prompt", "output_tokens": "output", "cached_tokens": "cached"}


class Collector:
    """Reads the metrics at each request."""

    def collect(self) -> Iterator[Metric]:
        yield from self._process()
        reached = GaugeMetricFamily("promptops_database_up", "1 when the database could be asked.")
        try:
            runs = list(self._runs())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("figures without those of runs: %s", error)
            connection.close()
            reached.add_metric([], 0)
        else:
            reached.add_metric([], 1)
            yield from runs
        yield reached

    def _process(self) -> Iterator[Metric]:
        about = GaugeMetricFamily("promptops_info", "The version that runs.", labels=["version"])
        about.add_metric([__version__], 1)
        yield about
        stopping = GaugeMetricFamily("promptops_draining", "1 after SIGTERM, before the end.")
        stopping.add_metric([], int(draining.is_draining()))
        yield stopping
        fetches = CounterMetricFamily("promptops_fetches", "SDK fetches answered from memory.", labels=["status"])
        for status, count in served.items():
            fetches.add_metric([str(status)], count)
        yield fetches
        here = GaugeMetricFamily("promptops_sockets", "Event streams open in this process.")
        here.add_metric([], runtime.sockets_here())
        yield here
        waited = GaugeMetricFamily("promptops_runs_waited_for", "Runs that requests of this process wait for.")
        waited.add_metric([], slots.taken())
        yield waited

    def _runs(self) -> Iterator[Metric]:
        everywhere = GaugeMetricFamily("promptops_clients", "Event streams open in all processes.", labels=["kind"])
        for kind, count in Connection.objects.order_by().values_list("client_type").annotate(count=Count("pk")):
            everywhere.add_metric([kind], count)
        yield everywhere
        running = GaugeMetricFamily("promptops_runs_running", "Runs under way in all processes.")
        running.add_metric([], Run.objects.filter(status=RunStatus.RUNNING).count())
        yield running
        ended = CounterMetricFamily(
            "promptops_runs", "Runs that ended, in all processes.", labels=["source", "provider", "status"]
        )
        tokens = CounterMetricFamily("promptops_tokens", "Tokens of runs.", labels=["source", "provider", "kind"])
        cost = CounterMetricFamily("promptops_cost_usd", "What is known of their cost.", labels=["source", "provider"])
        seconds = CounterMetricFamily("promptops_run_seconds", "Time that runs took.", labels=["source", "provider"])
        names = (*_COUNTED, *_USED, "cost_usd", "latency_ms")
        tallies: Any = RunTally.objects.filter(grain=Grain.MONTH).order_by().values("source", "provider")
        for row in tallies.annotate(**{f"sum_{name}": Sum(name) for name in names}):
            of = [row["source"], row["provider"]]
            for status in _COUNTED:
                ended.add_metric([*of, status], row[f"sum_{status}"])
            for name, kind in _USED.items():
                tokens.add_metric([*of, kind], row[f"sum_{name}"])
            cost.add_metric(of, float(row["sum_cost_usd"]))
            seconds.add_metric(of, row["sum_latency_ms"] / 1000)
        yield from (ended, tokens, cost, seconds)


collectors = CollectorRegistry(auto_describe=False)
collectors.register(Collector())
ProcessCollector(registry=collectors)
PlatformCollector(registry=collectors)
GCCollector(registry=collectors)


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics, or an error for anybody but an admin. Each process answers for itself alone."""
    try:
        _admit(request)
    except DomainError as error:
        again = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return json_error(error.status, error.message, error.code, **again)
    except (
        OperationalError,
        InterfaceError,
    ) as error:  # a stored token can't be looked up now; the static one needs no database
        logger.warning("figures for nobody: %s", error)
        connection.close()
        content, again = unavailable()
        return JsonResponse(content, status=503, headers=again)
    return HttpResponse(generate_latest(collectors), content_type=CONTENT_TYPE_LATEST)


def _admit(request: HttpRequest) -> None:
    secret = bearer_of(request.META.get("HTTP_AUTHORIZATION", ""))
    if secret is None:
        raise UnauthorizedError("send an admin's token as `Authorization: Bearer <token>`")
    actor = authenticate(secret, address=address_of(request))
    if actor.role is not Role.ADMIN or actor.workspace_id is not None:
        raise ForbiddenError("these figures are for admins of the whole installation")
