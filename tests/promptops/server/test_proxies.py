"""Clients behind proxies: only what a trusted one says of them counts, and it counts everywhere."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.sdk.support import eventually
from tests.servers import TOKEN, Server, running

PASSWORD, WRONG = "correct-horse-battery", "wrong"


def log_in(server: Server, forwarded: str, password: str = WRONG) -> int:
    answer = httpx.post(
        f"{server.url}/api/login",
        json={"username": "ada", "password": password},
        headers={"X-Forwarded-For": forwarded},
        timeout=60,
    )
    return answer.status_code


def add_ada(server: Server) -> None:
    with server.client() as client:
        made = client.post("/api/users", json={"username": "ada", "password": PASSWORD, "role": "viewer"})
        assert made.status_code == 201


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = Path(tmp_path_factory.mktemp("trusting"))
    with running(folder, PROMPTOPS_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8") as server:
        add_ada(server)
        yield server


def test_behind_a_trusted_proxy_each_client_has_tries_of_its_own(trusting: Server) -> None:
    assert [log_in(trusting, "198.51.100.66") for _ in range(6)] == [401] * 4 + [429] * 2
    assert log_in(trusting, "203.0.113.7", PASSWORD) == 200


def test_what_a_client_says_of_itself_before_the_proxy_does_not_count(trusting: Server) -> None:
    statuses = [log_in(trusting, f"203.0.113.{number}, 198.51.100.67, 10.1.2.3") for number in range(6)]
    assert statuses == [401] * 4 + [429] * 2


def test_live_clients_have_the_address_that_the_proxy_says(trusting: Server) -> None:
    headers = {"X-Forwarded-For": "192.0.2.99, 198.51.100.7"}
    with connect(trusting.stream_url(namespace="prod"), additional_headers=headers), trusting.client() as client:
        addresses: list[str] = eventually(
            lambda: [row["remote_addr"] for row in client.get("/api/clients").json()["data"]]
        )
    assert addresses == ["198.51.100.7"]


def test_guessing_tokens_at_the_event_stream_is_slowed_down_and_a_right_one_passes(trusting: Server) -> None:
    headers = {"X-Forwarded-For": "198.51.100.70"}
    statuses = []
    for number in range(22):
        with pytest.raises(InvalidStatus) as refused:
            connect(trusting.stream_url(f"po_{number}"), additional_headers=headers)
        statuses.append(refused.value.response.status_code)
    assert statuses == [401] * 19 + [429] * 3
    assert int(refused.value.response.headers["Retry-After"]) in range(30, 46)
    connect(trusting.stream_url(TOKEN), additional_headers=headers).close()


def test_nobody_else_is_believed(tmp_path: Path) -> None:
    with running(tmp_path, PROMPTOPS_TRUSTED_PROXIES="10.0.0.1", PROMPTOPS_BEHIND_TLS_PROXY="true") as server:
        add_ada(server)
        assert [log_in(server, f"198.51.100.{number}") for number in range(6)] == [401] * 4 + [429] * 2
        assert log_in(server, "203.0.113.7", PASSWORD) == 429
        told = httpx.get(f"{server.url}/admin/login/", headers={"X-Forwarded-Proto": "https"})
        assert (told.status_code, "127.0.0.1" in told.json()["error"]) == (421, True)
        assert httpx.get(f"{server.url}/admin/login/").status_code == 200


def test_sixty_logins_at_once_are_let_in_a_few_at_a_time_and_take_little_memory(trusting: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    assert trusting.process is not None
    status = Path(f"/proc/{trusting.process.pid}/status")

    def memory() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))

    before = memory()
    with ThreadPoolExecutor(60) as pool:
        statuses = set(pool.map(lambda number: log_in(trusting, f"192.0.2.{number}", PASSWORD), range(60)))
    assert statuses <= {200, 503}
    assert memory() - before < 150_000  # kB
