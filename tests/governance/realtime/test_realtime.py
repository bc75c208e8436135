"""The event stream (contract, section 6), over real WebSockets to a real server unless a test says why not."""

import contextlib
import itertools
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from promptops.management.commands.serve import uvicorn_settings
from tests.faults.tools.support import Stream, create, data, installation, listening
from tests.servers import TOKEN, Server, free_port

PASSWORD = "correct-horse-battery"
SOON = 5.0  # seconds that the contract gives the server to close what is no longer allowed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with installation(tmp_path_factory, PROMPTOPS_CHANGES_KEPT="50") as server:
        yield server


class Room:
    """A workspace of one test's own on the server that they share: its revisions are that test's alone."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = server.client()
        self.id: str = data(self.client.post("/api/workspaces", json={"name": f"room {uuid.uuid4().hex[:8]}"}))["id"]

    def listen(self, token: str = TOKEN, **query: str | int) -> AbstractContextManager[Stream]:
        return listening(self.server, token, **{"workspace": self.id, "namespace": "prod", **query})

    def create(self, key: str = "greeting", **fields: Any) -> str:
        prompt: str = create(self.client, key, workspace_id=self.id, **{"content": "one", **fields})["id"]
        return prompt

    def save(self, prompt: str, **fields: Any) -> None:
        data(self.client.patch(f"/api/prompts/{prompt}", json=fields))

    def publish(self, prompt: str, version: str | None = None) -> None:
        data(self.client.post("/api/prompts/publish", json={"id": prompt, **({"version": version} if version else {})}))

    def served(self, key: str = "greeting") -> tuple[Any, str | None]:
        """What the SDK is served now (None: nothing), as it is listed, and its entity tag while no rollout picks."""
        place = {"workspace": self.id, "env": "prod"}
        listed = data(self.client.get("/api/sdk/prompts", params=place))
        alone = self.client.get(f"/api/sdk/prompts/{key}", params=place)
        return next((document for document in listed if document["key"] == key), None), alone.headers.get("ETag")

    def token(self, **fields: Any) -> tuple[str, str]:
        """An API token: its id and its secret."""
        made = data(
            self.client.post("/api/tokens", json={"name": "t", "role": "viewer", "workspace_id": self.id, **fields})
        )
        return made["id"], made["token"]

    def user(self, role: str = "viewer") -> tuple[str, str]:
        """A user who is in: their id and their session's token."""
        name = f"user-{uuid.uuid4().hex[:8]}"
        body = {"username": name, "password": PASSWORD, "role": role, "workspaces": [self.id]}
        user = data(self.client.post("/api/users", json=body))
        login = self.client.post("/api/login", json={"username": name, "password": PASSWORD})
        return user["id"], login.json()["token"]

    def environment(self, name: str) -> dict[str, Any]:
        listed = data(self.client.get("/api/environments", params={"workspace": self.id}))
        return next(environment for environment in listed if environment["name"] == name)


@pytest.fixture
def room(server: Server) -> Room:
    return Room(server)


# --- changes ----------------------------------------------------------------------------------------------------


def test_each_kind_of_change_arrives_with_what_is_served_from_then_on(room: Room) -> None:
    with room.listen(deletes=1) as stream:
        prompt = room.create()
        served = [room.served()]

        def then(deed: Any) -> None:
            data(deed)
            served.append(room.served())

        path, publish = f"/api/prompts/{prompt}", {"id": prompt}
        then(room.client.patch(path, json={"content": "two"}))
        then(room.client.post("/api/prompts/publish", json=publish))
        room.save(prompt, content="three")
        then(room.client.post("/api/prompts/publish", json=publish))
        then(room.client.post("/api/prompts/rollback", json={**publish, "version": "v1"}))
        rollout = {"variant_a": "v1", "variant_b": "v2", "weight_a": 25}
        then(room.client.put(f"{path}/rollout", json=rollout))
        assert room.client.delete(f"{path}/rollout").is_success
        served.append(room.served())
        assert room.client.delete(path).is_success
        served.append(room.served())
        frames = stream.until(9)

    fixed = {"id": prompt, "key": "greeting", "env": "prod", "workspace": room.id}
    assert [{name: frame[name] for name in fixed} for frame in frames] == [fixed] * 8
    rest = {"type", "version", "revision", "prev_revision", "document", "etag"}
    assert all(frame.keys() == fixed.keys() | rest for frame in frames)
    assert [(f["type"], f["version"], f["prev_revision"], f["revision"]) for f in frames] == [
        ("prompt.created", "v1", 0, 1),
        ("prompt.updated", "v1", 1, 2),
        ("prompt.published", "v1", 2, 3),
        ("prompt.published", "v2", 3, 5),  # 4 was a draft
        ("prompt.rolled_back", "v1", 5, 6),
        ("rollout.updated", "v1", 6, 7),
        ("rollout.deleted", "v1", 7, 8),
        ("prompt.deleted", "v1", 8, 9),
    ]
    assert [frame["document"] for frame in frames] == [document for document, _ in served]
    assert [document and document["content"] for document, _ in served] == [
        *("one", "two", "two", "three", "two", "two", "two"),
        None,
    ]
    assert frames[5]["document"]["rollout"]["variants"]["B"]["content"] == "three"
    single = [number for number in range(8) if number != 5]  # under a rollout a single fetch is another document
    assert [frames[number]["etag"] for number in single] == [served[number][1] for number in single]


def test_a_saved_draft_reaches_only_who_asks_for_drafts_and_both_can_tell_that_they_missed_nothing(room: Room) -> None:
    prompt = room.create()
    room.publish(prompt)
    with room.listen() as live, room.listen(drafts=1) as with_drafts:
        room.save(prompt, content="a draft")
        room.save(prompt, content="another draft")
        room.publish(prompt)
        seen, all_seen = live.until(5), with_drafts.until(5)
    with room.listen(since=0) as live, room.listen(since=0, drafts=1) as with_drafts:
        assert (live.next()["type"], with_drafts.next()["type"]) == ("hello", "hello")
        replayed, all_replayed = live.until(5), with_drafts.until(5)
    assert [(f["prev_revision"], f["revision"]) for f in all_replayed] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert [(f["prev_revision"], f["revision"]) for f in replayed] == [(0, 1), (1, 2), (2, 5)]
    assert (all_replayed[2:], replayed[2:]) == (all_seen, seen)
    assert [frame["type"] for frame in all_seen] == ["prompt.updated", "prompt.updated", "prompt.published"]
    assert {frame["document"]["content"] for frame in all_seen[:2]} == {"one"}  # a draft changes nothing that is served


def test_without_a_namespace_a_stream_has_all_environments_also_new_ones_each_in_its_order(
    room: Room,
) -> None:
    with listening(room.server, workspace=room.id) as stream:
        data(room.client.post("/api/environments", json={"name": "stage", "workspace_id": room.id}))
        for env in ("prod", "stage", "prod", "stage"):
            room.create(f"in-{env}-{uuid.uuid4().hex[:4]}", env=env)
        frames = [stream.next() for _ in range(4)]
    assert sorted((f["env"], f["prev_revision"], f["revision"]) for f in frames) == [
        ("prod", 0, 1),
        ("prod", 1, 2),
        ("stage", 0, 1),
        ("stage", 1, 2),
    ]
    for env in ("prod", "stage"):
        assert [frame["revision"] for frame in frames if frame["env"] == env] == [1, 2]


@pytest.mark.parametrize("content", ["x" * (64 * 1024), "é" * (33 * 1024)], ids=["ascii", "longer in UTF-8"])
def test_a_document_over_64_kib_is_null_in_its_frame_and_the_etag_tells_what_to_fetch(room: Room, content: str) -> None:
    with room.listen() as stream:
        room.create("small", content="x" * 63 * 1024)
        room.create("big", content=content)
        small, big = stream.until(2)
    assert small["document"]["content"] == "x" * 63 * 1024
    document, etag = room.served("big")
    assert (big["document"], big["etag"]) == (None, etag)
    with room.listen(since=99) as stream:
        assert stream.next()["resumed"] is False
        assert document in stream.next()["documents"]  # a snapshot is whole


# --- silence ----------------------------------------------------------------------------------------------------


class Raw:
    """A client that sees every frame as it comes on the wire, and answers none."""

    def __init__(self, server: Server, **query: str | int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        path = server.stream_url(TOKEN, **query).partition(str(server.port))[2]
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self._exactly(1)

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            piece = self.connection.recv(count - len(received))
            assert piece, "the server hung up"
            received += piece
        return received

    def next(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        first, length = self._exactly(2)
        if length >= 126:
            length = int.from_bytes(self._exactly(2 if length == 126 else 8), "big")
        return first & 15, self._exactly(length)


TEXT, PING = 1, 9


def are_five_seconds_apart(moments: list[float]) -> None:
    """A busy machine may delay one of them, and shorten the wait for the next: by less than a whole one."""
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert min(waits) < 5.5
    assert max(waits) < 9
    assert moments[-1] - moments[0] > 3 * len(waits)


@pytest.mark.parametrize("query", [{"namespace": "prod"}, {}, {"namespace": "prod", "drafts": 1}])
def test_who_counts_no_revisions_is_kept_by_pings_and_takes_every_text_for_a_change(
    room: Room, query: dict[str, Any]
) -> None:
    moments = [time.monotonic()]
    client = Raw(room.server, workspace=room.id, **query)
    assert client.head.startswith(b"HTTP/1.1 101 ")
    for _ in range(2):
        assert client.next() == (PING, b"")
        moments.append(time.monotonic())
    are_five_seconds_apart(moments)
    prompt = room.create()
    assert room.client.delete(f"/api/prompts/{prompt}").is_success  # it would be asked for, and that is a 404
    room.create("another")
    texts = [client.next() for _ in range(2)]
    assert [opcode for opcode, _ in texts] == [TEXT, TEXT]
    assert [json.loads(text)["type"] for _, text in texts] == ["prompt.created", "prompt.created"]


def test_who_counts_no_revisions_hears_of_deletions_if_it_asks_for_them(room: Room) -> None:
    with room.listen(deletes=1) as stream:
        prompt = room.create()
        assert room.client.delete(f"/api/prompts/{prompt}").is_success
        assert [frame["type"] for frame in stream.until(2)] == ["prompt.created", "prompt.deleted"]


def test_who_follows_from_a_revision_has_a_heartbeat_within_five_seconds_of_silence(room: Room) -> None:
    prompt = room.create()
    room.publish(prompt)
    moments = [time.monotonic()]
    with room.listen(since=2) as resuming:
        assert resuming.next(2)["type"] == "hello"
        room.save(prompt, content="a draft: nobody here hears of it")
        for _ in range(2):
            assert resuming.next(9) == {"type": "heartbeat", "revision": 3}
            moments.append(time.monotonic())
    are_five_seconds_apart(moments)


# --- coming back ------------------------------------------------------------------------------------------------


def test_who_comes_back_is_greeted_then_gets_what_was_missed_then_what_is_new(room: Room) -> None:
    for number in range(3):
        room.create(f"p{number}")
    with room.listen(since=1) as stream:
        hello = stream.next()
        missed = stream.until(3)
        room.create("p3")
        assert [f["key"] for f in [*missed, stream.next()]] == ["p1", "p2", "p3"]
    assert hello == {"type": "hello", "revision": 3, "epoch": room.environment("prod")["epoch"], "resumed": True}
    with room.listen(since=4, epoch=hello["epoch"]) as stream:
        assert stream.next() == {**hello, "revision": 4}
        room.create("p4")
        assert stream.next()["key"] == "p4"


@pytest.mark.parametrize(
    "query", [{"since": 1, "epoch": "of-another-line"}, {"since": 3}], ids=["another epoch", "ahead of all changes"]
)
def test_who_comes_from_another_line_of_revisions_gets_a_snapshot(room: Room, query: dict[str, Any]) -> None:
    room.create("a")
    room.create("b", content="two")
    with room.listen(**query) as stream:
        hello, snapshot = stream.next(), stream.next()
        room.create("c")
        assert stream.next()["revision"] == 3
    assert (hello["revision"], hello["resumed"]) == (2, False)
    assert snapshot == {"type": "snapshot", "revision": 2, "documents": [room.served("a")[0], room.served("b")[0]]}


def test_who_was_away_for_longer_than_changes_are_kept_gets_a_snapshot(room: Room) -> None:
    prompt = room.create()
    room.publish(prompt)
    for number in range(254):  # to 256, where changes are pruned; 50 are kept
        room.publish(prompt, f"x{number}")
    with room.listen(since=205) as too_old, room.listen(since=206) as just_kept:
        assert (too_old.next()["resumed"], just_kept.next()["resumed"]) == (False, True)
        assert too_old.next() == {"type": "snapshot", "revision": 256, "documents": [room.served()[0]]}
        assert [frame["revision"] for frame in just_kept.until(256)] == list(range(207, 257))


# --- who may listen, and where ----------------------------------------------------------------------------------


def refused(server: Server, token: str = TOKEN, **options: Any) -> tuple[int, Any]:
    """The status and the body that a handshake is refused with."""
    with pytest.raises(InvalidStatus) as caught, connect(server.stream_url(token), **options):
        pass
    response = caught.value.response
    return response.status_code, httpx.Response(response.status_code, content=bytes(response.body or b"")).json()


def test_a_bad_token_is_refused_with_401_and_gets_no_socket(server: Server) -> None:
    errors = server.log.read_text().count(" ERROR ")
    for token in ("", "wrong", "x" * 5000):
        status, body = refused(server, token)
        assert (status, body["error"], body["code"]) == (401, "invalid token", "unauthorized")
    assert server.log.read_text().count(" ERROR ") == errors  # a client's mistake is not the server's


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null", "http://[", "evil"])
def test_a_page_of_another_origin_is_refused_with_403(server: Server, origin: str) -> None:
    status, body = refused(server, origin=origin)
    assert (status, body["code"]) == (403, "forbidden")


def test_the_servers_own_pages_and_programs_without_an_origin_may_listen(room: Room) -> None:
    for origin in (None, Origin(room.server.url)):
        with connect(room.server.stream_url(workspace=room.id, since=0, namespace="prod"), origin=origin) as connection:
            assert Stream(connection).next()["type"] == "hello"


def test_a_since_that_is_no_number_is_refused_with_400(server: Server) -> None:
    for since in ("-1", "x", "1.5", "٣"):
        with pytest.raises(InvalidStatus) as caught, connect(server.stream_url(since=since)):
            pass
        assert caught.value.response.status_code == 400


def test_the_token_may_come_in_the_authorization_header(room: Room) -> None:
    url = f"ws://127.0.0.1:{room.server.port}/ws?workspace={room.id}&namespace=prod&since=0"
    with connect(url, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as connection:
        assert Stream(connection).next()["type"] == "hello"


def test_a_place_that_is_not_there_or_not_theirs_is_closed_with_4403(room: Room) -> None:
    _, outsider = Room(room.server).user()
    _, bound = room.token(env="prod")
    places: list[tuple[str, dict[str, str | int]]] = [
        (TOKEN, {"namespace": "nowhere"}),
        (TOKEN, {"env": "nowhere"}),
        (TOKEN, {"workspace": "nowhere"}),
        (outsider, {"workspace": room.id}),
        (bound, {"workspace": "default"}),
        (bound, {"namespace": "dev"}),
    ]
    for token, query in places:
        with listening(room.server, token, **query) as stream:
            assert stream.close_code(SOON) == 4403, query


def test_a_token_that_is_bound_to_an_environment_hears_of_that_one_alone(room: Room) -> None:
    _, bound = room.token(env="dev")
    with listening(room.server, bound) as stream:
        room.create("in-prod")
        room.create("in-dev", env="dev")
        assert stream.next()["key"] == "in-dev"


def test_no_token_is_ever_in_the_servers_log(room: Room) -> None:
    secrets = [f"a-secret-{uuid.uuid4().hex}" for _ in range(4)]
    address = f"127.0.0.1:{room.server.port}"
    with contextlib.suppress(InvalidStatus), connect(f"ws://{address}/ws?token={secrets[0]}"):
        pass
    with contextlib.suppress(InvalidStatus), connect(f"ws://{address}/ws?app=x&%74oken={secrets[1]}"):
        pass
    with contextlib.suppress(InvalidStatus), connect(f"ws://{address}/elsewhere?TOKEN={secrets[2]}"):
        pass
    httpx.get(f"http://{address}/ws", params={"token": secrets[3]})
    _, good = room.token()
    with room.listen(good, since=0) as stream:
        stream.next()
    log = room.server.log.read_text()
    assert log.count("/ws?") >= 3  # the log does tell of connections
    assert not [secret for secret in [*secrets, good, TOKEN] if secret in log]


# --- what is allowed may end --------------------------------------------------------------------------------------

Ending = Callable[[Room], tuple[str, Callable[[], Any]]]


def revoking_a_token(room: Room) -> tuple[str, Callable[[], Any]]:
    token, secret = room.token()
    return secret, lambda: room.client.delete(f"/api/tokens/{token}")


def deleting_the_user(room: Room) -> tuple[str, Callable[[], Any]]:
    user, secret = room.user()
    return secret, lambda: room.client.delete(f"/api/users/{user}")


def a_new_password(room: Room) -> tuple[str, Callable[[], Any]]:
    user, secret = room.user()
    return secret, lambda: room.client.put(f"/api/users/{user}", json={"password": "another-horse-battery"})


def shutting_the_user_out(room: Room) -> tuple[str, Callable[[], Any]]:
    user, secret = room.user()
    return secret, lambda: room.client.put(f"/api/users/{user}", json={"is_active": False})


def logging_out(room: Room) -> tuple[str, Callable[[], Any]]:
    _, secret = room.user()
    return secret, lambda: room.server.client(secret).post("/api/logout")


def expiry(room: Room) -> tuple[str, Callable[[], Any]]:
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    _, secret = room.token(expires_at=ends.isoformat())
    return secret, lambda: room.client.get("/api/me")


def demotion(room: Room) -> tuple[str, Callable[[], Any]]:
    user, secret = room.user("editor")
    return secret, lambda: room.client.put(f"/api/users/{user}", json={"role": "viewer"})


def losing_the_workspace(room: Room) -> tuple[str, Callable[[], Any]]:
    user, secret = room.user()
    return secret, lambda: room.client.put(f"/api/users/{user}", json={"workspaces": ["default"]})


def deleting_the_environment(room: Room) -> tuple[str, Callable[[], Any]]:
    _, secret = room.token()
    return secret, lambda: room.client.delete(f"/api/environments/{room.environment('prod')['id']}")


def deleting_the_workspace(room: Room) -> tuple[str, Callable[[], Any]]:
    _, secret = room.user()
    return secret, lambda: room.client.delete(f"/api/workspaces/{room.id}")


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (revoking_a_token, 4401),
        (deleting_the_user, 4401),
        (a_new_password, 4401),
        (shutting_the_user_out, 4401),
        (logging_out, 4401),
        (expiry, 4401),
        (demotion, 4409),
        (losing_the_workspace, 4403),
        (deleting_the_environment, 4403),
        (deleting_the_workspace, 4403),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).replace("_", " "),
)
def test_what_ends_a_permission_closes_its_sockets_within_five_seconds(room: Room, ending: Ending, code: int) -> None:
    secret, end = ending(room)
    with room.listen(secret) as first, room.listen(secret, since=0) as second:
        second.next()
        answer = end()
        assert answer.is_success, answer.text
        assert (first.close_code(SOON), second.close_code(1)) == (code, code)


def test_who_is_revoked_takes_nobody_else_along(room: Room) -> None:
    user, _ = room.user()
    token, secret = room.token()
    name = data(room.client.get(f"/api/users/{user}"))["username"]
    logins = [
        room.client.post("/api/login", json={"username": name, "password": PASSWORD}).json()["token"] for _ in range(2)
    ]
    with room.listen(secret) as revoked, room.listen(logins[0]) as left, room.listen(logins[1]) as stays:
        assert room.client.delete(f"/api/tokens/{token}").is_success
        assert room.server.client(logins[0]).post("/api/logout").is_success
        assert (revoked.close_code(SOON), left.close_code(SOON)) == (4401, 4401)
        room.create("still-heard-of")
        assert stays.next()["key"] == "still-heard-of"


# --- the list of connections ------------------------------------------------------------------------------------


def eventually(look: Callable[[], Any], expected: Any, timeout: float = 10.0) -> None:
    """Assert that `look` comes to return `expected`."""
    deadline = time.monotonic() + timeout
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert seen == expected


def test_connections_are_listed_while_they_are_open(room: Room) -> None:
    def listed() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = data(room.client.get("/api/clients", params={"workspace": room.id}))
        return rows

    token, secret = room.token(name="ci")
    with room.listen(secret, client="python", app="shop"), listening(room.server, workspace=room.id):
        eventually(lambda: len(listed()), 2)
        anybody, sdk = sorted(listed(), key=lambda row: row["app"])
        expected = {
            "client_type": "python",
            "app": "shop",
            "namespace": "prod",
            "workspace_id": room.id,
            "remote_addr": "127.0.0.1",
            "actor": "token ci",
        }
        assert {name: sdk[name] for name in expected} == expected
        assert sdk["user_agent"].startswith("Python/")
        assert datetime.fromisoformat(sdk["connected_at"]) > datetime.now(UTC) - timedelta(minutes=1)
        assert (anybody["client_type"], anybody["app"], anybody["namespace"]) == ("unknown", "", "")
        room.client.delete(f"/api/tokens/{token}")
        eventually(lambda: [row["app"] for row in listed()], [""])
    eventually(listed, [])


# --- the connection itself --------------------------------------------------------------------------------------


def test_a_frame_that_is_too_big_closes_with_1009_and_smaller_ones_are_dropped_unread(room: Room) -> None:
    with room.listen() as stream:
        stream.connection.send("x" * 60_000)
        stream.connection.send(b"\0\1\2")
        room.create()
        assert stream.next()["key"] == "greeting"
        stream.connection.send("x" * 70_000)
        assert stream.close_code(SOON) == 1009


def test_a_client_that_never_answers_a_ping_is_not_dropped_for_it() -> None:
    """uvicorn as `serve` starts it, but with its pings in a hurry: the product's would take minutes to show it."""
    told = uvicorn_settings(port=free_port())

    async def accept_and_wait(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    assert 0 < told["ws_ping_interval"] <= 30  # it does ping: proxies drop what is silent
    options = {**told, "ws_ping_interval": 0.05, "lifespan": "off"}
    quick = uvicorn.Server(uvicorn.Config(accept_and_wait, **options))
    thread = threading.Thread(target=quick.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not quick.started and time.monotonic() < deadline:
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", told["port"]), timeout=5) as raw:
            raw.sendall(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            received = b""
            while received.partition(b"\r\n\r\n")[2].count(b"\x89\x04") < 20:  # pings, with four bytes each
                chunk = raw.recv(4096)
                assert chunk, "the server hung up"
                received += chunk
            assert received.startswith(b"HTTP/1.1 101")
    finally:
        quick.should_exit = True
        thread.join(10)
