"""Figures for Prometheus: whom they are for, and that they tell what happened."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings
from rest_framework.test import APIClient

from promptops.server.handler import Handler
from promptops.site import metrics
from tests.faults.tools.support import installation

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(text: str) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(found: Figures, name: str, **labels: str) -> float:
    return found[(name, frozenset(labels.items()))]


def test_runs_are_told_of_by_source_provider_and_status(static: APIClient) -> None:
    for model in ("any", "any", "mock-malformed"):
        static.post("/api/playground/run", {"content": "Hi", "model": model})
    found = figures(static.get("/metrics").content.decode())
    of = {"source": "playground", "provider": "mock"}
    assert one(found, "promptops_runs_total", **of, status="ok") == 2
    assert one(found, "promptops_runs_total", **of, status="error") == 1
    assert one(found, "promptops_tokens_total", **of, kind="output") > 0
    assert one(found, "promptops_runs_running") == 0
    assert "Hi" not in static.get("/metrics").content.decode().split()


def test_they_are_for_admins_wherever_the_request_comes_from(
    static: APIClient, admin: APIClient, editor: APIClient, viewer: APIClient
) -> None:
    nobody = APIClient()
    assert [client.get("/metrics").status_code for client in (static, admin)] == [200, 200]
    assert [client.get("/metrics").status_code for client in (editor, viewer)] == [403, 403]
    places: tuple[dict[str, Any], ...] = (
        {"REMOTE_ADDR": "127.0.0.1"},
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": "Bearer wrong"},
        {"REMOTE_ADDR": ""},
    )
    for elsewhere in places:
        refused = nobody.get("/metrics", **elsewhere)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")


def test_a_token_of_one_workspace_does_not_see_the_figures_of_all(static: APIClient) -> None:
    token = static.post("/api/tokens", {"name": "t", "role": "admin"}).json()["data"]["token"]
    bound = APIClient(headers={"Authorization": f"Bearer {token}"})
    assert bound.get("/metrics").status_code == 403


def test_a_server_counts_what_it_answers_from_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    with installation(tmp_path_factory) as server, server.client() as client:
        client.post("/api/prompts", json={"key": "greeting", "content": "Hi", "env": "prod"})
        found: Figures = {}
        deadline = time.monotonic() + 10
        while ("promptops_fetches_total", frozenset({("status", "200")})) not in found:
            assert time.monotonic() < deadline, "nothing was answered from memory"
            assert client.get("/api/sdk/prompts/greeting?env=prod").status_code == 200
            found = figures(client.get("/metrics").text)
        before = one(found, "promptops_fetches_total", status="200")
        for _ in range(5):
            client.get("/api/sdk/prompts/greeting?env=prod")
        found = figures(client.get("/metrics").text)
        assert before + 1 <= one(found, "promptops_fetches_total", status="200") <= before + 5
        assert one(found, "promptops_sockets") == 0
        assert one(found, "process_resident_memory_bytes") > 0


def test_who_asks_while_the_database_is_away_is_told_so_if_it_has_to_know_them(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(secret: str, *, address: str) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(metrics, "authenticate", away)
    answer = admin.get("/metrics")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool")
@pytest.mark.django_db(transaction=True)
def test_they_are_had_and_true_while_requests_hold_all_connections_of_the_pool(settings: Settings) -> None:
    most = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    held, over, sent = threading.Barrier(most + 1, timeout=20), threading.Event(), list[Any]()

    def hold() -> None:
        connection.ensure_connection()
        held.wait()
        over.wait(20)
        connection.close()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    bearer = (b"authorization", f"Bearer {settings.PROMPTOPS_TOKEN}".encode())
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": [bearer]}
    connection.close()
    with ThreadPoolExecutor(most) as requests:
        holding = [requests.submit(hold) for _ in range(most)]
        held.wait()
        try:
            async_to_sync(Handler())(scope, receive, send)
        finally:
            over.set()
        assert [one.result() for one in holding] == [None] * most
    assert b"promptops_database_up 1.0" in b"".join(message.get("body", b"") for message in sent)
