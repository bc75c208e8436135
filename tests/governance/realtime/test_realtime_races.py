"""What happens in the middle of opening a stream, to clients that stall, and when the line of changes breaks: moments
that can't be timed from outside, so these tests are the ASGI server themselves."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as FrameOfWebsockets
from websockets.frames import Opcode

from governance.access import revision as access_revision
from governance.access.actors import SYSTEM, Actor
from governance.access.roles import Role
from governance.changes.models import Change
from governance.identity import tokens
from governance.identity.credentials.token_cache import tokens as cached
from governance.realtime import runtime, sockets
from governance.realtime import wire as wire_module
from governance.realtime.consumer import EventStream
from governance.realtime.encoding import EncodedChange
from governance.realtime.hub import Hub
from governance.realtime.runtime import Runtime
from governance.realtime.sockets import Socket
from governance.realtime.tail import Position
from governance.realtime.wire import Shared, frame
from governance.tenancy import environments
from governance.tenancy.models import Environment, Workspace
from prompts import services

Message = dict[str, Any]


class Peer:
    """A client and its ASGI server: opens the stream, and does `on_accept` while the consumer waits for its accept."""

    def __init__(self, token: str, *, on_accept: Callable[[], Awaitable[Any]] | None = None, **query: Any) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._received.put_nowait({"type": "websocket.connect"})
        self._on_accept = on_accept
        scope = {
            "type": "websocket",
            "path": "/ws",
            "query_string": urlencode({"token": token, **query}).encode(),
            "headers": [],
        }
        self.application = asyncio.create_task(EventStream.as_asgi()(scope, self._received.get, self._send))

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.accept" and self._on_accept is not None:
            await self._on_accept()
        if message["type"] == "websocket.close":
            self.leave()
        await self.sent.put(message)

    def leave(self) -> None:
        self._received.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def close_code(self) -> int:
        async with asyncio.timeout(5):
            while (message := await self.sent.get())["type"] != "websocket.close":
                pass
        code: int = message["code"]
        return code

    async def accepted(self) -> None:
        async with asyncio.timeout(5):
            assert (await self.sent.get())["type"] == "websocket.accept"


@pytest_asyncio.fixture
async def realtime(transactional_db: None, workspace: Workspace) -> AsyncIterator[Runtime]:
    yield await runtime.start()
    await runtime.stop()


def make_token(workspace: Workspace) -> tuple[Any, str]:
    return tokens.create_token(actor=SYSTEM, workspace=workspace, name="t", role=Role.VIEWER)


# --- while a stream is being opened -------------------------------------------------------------------------------


async def test_a_credential_that_is_revoked_while_its_socket_opens_is_closed_all_the_same(
    realtime: Runtime, workspace: Workspace
) -> None:
    token, secret = await sync_to_async(make_token)(workspace)

    async def revoke() -> None:
        await sync_to_async(tokens.revoke_token)(actor=SYSTEM, token=token)
        await asyncio.sleep(1.0)  # every look at who may still listen is over before the socket is there

    peer = Peer(secret, on_accept=revoke)
    assert await peer.close_code() == 4401


async def test_an_environment_that_is_deleted_while_its_socket_opens_closes_it_with_4403_and_leaves_nothing_behind(
    realtime: Runtime, workspace: Workspace
) -> None:
    _, secret = await sync_to_async(make_token)(workspace)
    empty = await sync_to_async(environments.create_environment)(actor=SYSTEM, workspace=workspace, name="empty")

    async def delete() -> None:
        await sync_to_async(environments.delete_environment)(actor=SYSTEM, environment=empty)

    for query in ({}, {"since": 0}):
        peer = Peer(secret, on_accept=delete if query else None, namespace="empty", **query)
        if query:
            assert await peer.close_code() == 4403
        else:
            await peer.accepted()
            peer.leave()
        await asyncio.wait_for(peer.application, 5)
        assert len(realtime.hub) == 0


async def test_a_client_that_goes_while_its_socket_opens_leaves_nothing_behind(
    realtime: Runtime, workspace: Workspace
) -> None:
    _, secret = await sync_to_async(make_token)(workspace)
    peer = Peer(secret, since=0)
    await peer.accepted()
    assert len(realtime.hub) == 1
    peer.application.cancel()  # as a server does that stops
    with pytest.raises(asyncio.CancelledError):
        await peer.application
    assert len(realtime.hub) == 0


async def test_a_token_that_was_revoked_elsewhere_before_the_first_look_is_not_answered_from_memory(
    transactional_db: None, workspace: Workspace
) -> None:
    token, secret = await sync_to_async(make_token)(workspace)
    generation = cached.generation
    cached.remember(secret, Actor(name="t", role=Role.VIEWER, kind="api", token_id=token.pk), generation)

    def revoke_in_another_process() -> None:
        with transaction.atomic():
            token.delete()
            access_revision.bump()
            connection.run_on_commit.clear()  # the other process's listeners

    await sync_to_async(revoke_in_another_process)()
    try:
        here = await runtime.start()
        await here.tail.follow(workspace.pk)
        assert cached.find(b"Bearer " + secret.encode(), time.time()) is None
        cached.remember(secret, Actor(name="t", role=Role.VIEWER, kind="api", token_id=token.pk), generation)
        assert cached.find(b"Bearer " + secret.encode(), time.time()) is None  # by a view that had read it before
    finally:
        await runtime.stop()
        cached.clear()


# --- when the line of changes breaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"namespace": "prod"}, {"since": 0}], ids=["all of them", "one", "resuming"])
async def test_a_restored_database_tells_clients_to_start_anew(
    realtime: Runtime, workspace: Workspace, query: dict[str, Any]
) -> None:
    """A backup that is put back has an earlier state: its environments get a new epoch."""
    _, secret = await sync_to_async(make_token)(workspace)
    peer = Peer(secret, **query)
    await peer.accepted()
    await realtime.tail.follow(workspace.pk)
    await Environment.objects.filter(workspace=workspace).aupdate(epoch="another")
    assert await peer.close_code() == 4409


async def test_changes_that_were_pruned_before_they_were_read_tell_clients_to_start_anew(
    realtime: Runtime, workspace: Workspace, environment: Callable[[str], Environment]
) -> None:
    _, secret = await sync_to_async(make_token)(workspace)
    prod = await sync_to_async(environment)("prod")
    peers = [Peer(secret, namespace="prod"), Peer(secret), Peer(secret, namespace="dev")]
    for peer in peers:
        await peer.accepted()
    await realtime.tail.follow(workspace.pk)
    await Environment.objects.filter(pk=prod.pk).aupdate(revision=5)  # and none of the five is there any more
    assert [await peer.close_code() for peer in peers[:2]] == [4409, 4409]
    await asyncio.sleep(0.1)
    assert peers[2].sent.empty()


async def test_a_change_that_the_backlog_had_already_is_not_sent_again_when_the_tail_gets_to_it() -> None:
    prod = uuid.uuid4()
    socket = socket_of(prod, since=0)
    wire = Wire(socket)
    frames = frames_of(prod, 4, size=1)
    socket.offer(frames[:1])
    socket.go_live(3, ["hello"])
    socket.offer(frames[1:2])
    socket.offer(frames[2:])
    await asyncio.sleep(0.01)
    assert [message["text"] for message in wire.messages] == ["hello", frames[3].text]
    wire.writer.cancel()


# --- clients that stall -------------------------------------------------------------------------------------------


def socket_of(environment: uuid.UUID, *, since: int | None = None) -> Socket:
    actor = Actor(name="a", role=Role.VIEWER, kind="api")
    return Socket(actor=actor, workspace_id="default", environment_id=environment, drafts=False, since=since)


def frames_of(environment: uuid.UUID, count: int, *, size: int) -> list[EncodedChange]:
    changes = [Change(environment_id=environment, revision=number + 1) for number in range(count)]
    return [EncodedChange(change, text := f"{change.revision} " + "x" * size, text) for change in changes]


class Wire:
    """Where a socket writes to: as fast as memory, or not at all."""

    def __init__(self, socket: Socket) -> None:
        self.messages: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()
        self.writer = asyncio.create_task(socket.write_to(self.send))

    async def send(self, message: Message) -> None:
        await self.open.wait()
        self.messages.append(message)


class Direct(wire_module.Wire):
    """A connection that takes a text at once, or not."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[str], bool]) -> None:
        super().__init__()
        self.write = write  # type: ignore[assignment,method-assign]


async def test_a_client_that_stalls_is_closed_with_4410_and_delays_nobody() -> None:
    prod = uuid.uuid4()
    hub = Hub(revision_of=lambda socket: 0)
    stalled, healthy = socket_of(prod), socket_of(prod)
    wires = [Wire(stalled), Wire(healthy)]
    wires[0].open.clear()
    for socket in (stalled, healthy):
        hub.add(socket)
    position = Position("default", "prod", "epoch", 0)
    portion = sockets.MAX_PENDING_BYTES // 8
    for change in frames_of(prod, 12, size=portion):
        hub.deliver(position, [change])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wires[1].messages[-1]["text"] is change.text
    assert len(wires[1].messages) == 12
    wires[0].open.set()
    await asyncio.wait_for(wires[0].writer, 1)
    assert [message.get("code") for message in wires[0].messages] == [None, 4410]  # the one that it was at, the end
    wires[1].writer.cancel()


@given(st.lists(st.sampled_from(["push", "jam", "flow", "wait"]), max_size=40), st.booleans())
def test_texts_arrive_once_and_in_order_whichever_way_each_of_them_took(steps: list[str], resumes: bool) -> None:
    async def play() -> tuple[list[str], list[str], int]:
        socket = socket_of(uuid.uuid4(), since=0 if resumes else None)
        wire = Wire(socket)
        flows, direct, pushed = True, 0, []

        def write(text: str) -> bool:
            nonlocal direct
            if flows:
                wire.messages.append({"text": text})
                direct += 1
            return flows

        socket.wire = Direct(write)
        if resumes:
            socket.go_live(0, ["hello"])
            pushed.append("hello")
        for number, step in enumerate(steps):
            if step == "push":
                socket.push(str(number))
                pushed.append(str(number))
            elif step == "wait":
                await asyncio.sleep(0)
            else:
                flows = step == "flow"
                (wire.open.set if flows else wire.open.clear)()
        wire.open.set()
        for _ in range(10):
            await asyncio.sleep(0)
        wire.writer.cancel()
        return [message["text"] for message in wire.messages], pushed, direct

    received, pushed, direct = asyncio.run(play())
    assert received == pushed
    if steps and set(steps) == {"push"} and not resumes:
        assert direct == len(pushed)  # nobody stood in the way


@pytest.mark.parametrize("length", [0, 125, 126, 0xFFFF, 0x10000])
def test_a_frame_made_once_is_the_frame_that_the_server_would_make(length: int) -> None:
    text = "ä" * (length // 2) + "x" * (length % 2)
    made = FrameOfWebsockets(Opcode.TEXT, text.encode()).serialize(mask=False)
    assert frame(text) == made
    assert (Shared(text).frame, Shared(text).text) == (made, text)


async def test_a_long_backlog_is_no_reason_to_call_a_client_slow() -> None:
    prod = uuid.uuid4()
    socket = socket_of(prod, since=0)
    socket.offer(frames_of(prod, 12, size=1000))  # while the backlog is read
    wire = Wire(socket)
    snapshot = "x" * (2 * sockets.MAX_PENDING_BYTES)
    socket.go_live(10, ["hello", snapshot])
    socket.offer(frames_of(prod, 14, size=1000)[12:])
    await asyncio.sleep(0.01)
    texts = [message["text"] for message in wire.messages]
    assert texts[:2] == ["hello", snapshot]
    assert [text.split()[0] for text in texts[2:]] == ["11", "12", "13", "14"]
    wire.writer.cancel()


# --- what is announced --------------------------------------------------------------------------------------------


def test_a_draft_saved_while_its_environment_stops_serving_drafts_is_not_announced_as_served(
    transactional_db: None, environment: Callable[[str], Environment]
) -> None:
    prod = environment("prod")
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="k", content="one")

    def save() -> None:
        services.update_prompt(actor=SYSTEM, prompt=prompt, content="two")
        connection.close()

    writer = threading.Thread(target=save)
    with transaction.atomic():
        environments.update_environment(actor=SYSTEM, environment=prod, require_publish=True)
        writer.start()
        time.sleep(0.5)  # it waits for this transaction by now
    writer.join(10)
    announced = list(Change.objects.filter(environment=prod).order_by("revision"))
    assert [change.document is not None for change in announced] == [True, False, False]
