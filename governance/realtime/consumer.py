"""One WebSocket: who it is, where it looks, what it missed, then live."""

import asyncio
import json
import logging
from typing import Any, NamedTuple

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from governance.access import revision
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.exceptions import body
from governance.clients.connections import Presence
from governance.core.errors import InvalidInputError, TooManyAttemptsError, UnauthorizedError
from governance.identity.authentication import authenticate
from governance.realtime import runtime
from governance.realtime.hub import GRACE, Socket
from governance.realtime.protocol import NOT_ALLOWED_THERE, TRY_AGAIN, StreamRequest
from governance.realtime.wire import NO_WIRE, Wire
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Workspace

logger = logging.getLogger("promptops.realtime")
RETRY_AFTER = {429: b"10", 503: b"1"}
NO_LAYER = "none"  # frames come from the hub; a channel for each socket would only cost memory


class Place(NamedTuple):
    workspace_id: str
    environment: Environment | None


class Admission(NamedTuple):
    """Who asks, as of that access revision, and where they look (None: there is no such place for them)."""

    access: int
    actor: Actor
    place: Place | None


class EventStream(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    channel_layer_alias = NO_LAYER
    socket: Socket | None = None
    writer: asyncio.Task[None] | None = None
    wire: Wire = NO_WIRE

    async def __call__(self, *arguments: Any) -> None:
        try:
            await super().__call__(*arguments)
        finally:  # however it ended: a client that left, an error, the server's end
            self.forget()

    async def connect(self) -> None:
        self.runtime = await runtime.start()
        hub = self.runtime.hub
        if hub.is_full():
            return await self.deny(503, "this server has as many streams open as it takes: try again", "unavailable")
        hub.opening += 1
        try:
            asked = StreamRequest.of(self.scope)
            if not asked.origin_is_allowed(settings.PROMPTOPS_WS_ORIGINS):
                return await self.deny(403, "forbidden: this origin is not allowed", "forbidden")
            admission = await self.runtime.work(admit, asked)
        except InvalidInputError as error:
            return await self.deny(400, error.message, error.code)
        except UnauthorizedError as error:
            return await self.deny(401, error.message, error.code)
        except TooManyAttemptsError as error:
            return await self.deny(429, error.message, error.code, retry_after=error.retry_after)
        except (DatabaseError, InterfaceError):
            return await self.deny(503, "the database is busy or down: try again", "unavailable")
        finally:
            hub.opening -= 1
        if hub.is_full_for(admission.actor):
            return await self.deny(429, "this credential has as many streams open as it may have", "too_many_streams")
        await self.accept()
        self.wire = Wire(self.base_send)
        self.forget_handshake()
        try:
            if admission.place is None:
                await self.close(NOT_ALLOWED_THERE)
            else:
                await self.follow(asked, admission, admission.place)
        except Environment.DoesNotExist:
            await self.close(NOT_ALLOWED_THERE)  # it was deleted since
        except (DatabaseError, InterfaceError) as error:
            logger.warning("could not bring a client up to date: %s", error)
            await self.close(TRY_AGAIN)

    async def follow(self, asked: StreamRequest, admission: Admission, place: Place) -> None:
        """Register first, then read what was missed, then go live: no change falls between, and no revocation."""
        actor = admission.actor
        environment_id = place.environment.pk if place.environment else None
        self.socket = socket = Socket(
            actor=actor,
            workspace_id=place.workspace_id,
            environment_id=environment_id,
            drafts=asked.drafts,
            since=asked.since,
            runs=asked.runs,
            deletes=asked.deletes,
            wire=self.wire,
        )
        self.runtime.hub.add(socket)
        self.runtime.connections.add(socket.id, presence(asked, actor, place))
        self.writer = asyncio.create_task(self.write(socket))
        await self.runtime.tail.follow(place.workspace_id)
        if self.runtime.tail.access != admission.access:
            await self.runtime.look_at_credentials(actor.credential)
        if asked.since is not None and environment_id is not None:
            missed = await self.runtime.snapshots.backlog(
                environment_id, since=asked.since, epoch=asked.epoch, drafts=asked.drafts
            )
            socket.go_live(missed.revision, missed.items)

    async def write(self, socket: Socket) -> None:
        try:
            await socket.write_to(self.base_send)
        except Exception as error:  # the client went away in the middle of a frame
            logger.debug("socket %s: %s", socket.id, error)

    def forget(self) -> None:
        if self.socket is not None:
            self.runtime.hub.remove(self.socket)
            self.runtime.connections.remove(self.socket.id)
            self.socket = None
        if self.writer is not None:
            self.writer.cancel()
        self.wire.finish(GRACE)

    def forget_handshake(self) -> None:
        """Drop the request from memory: sockets stay for days, and its head may be long."""
        self.scope["headers"], self.scope["query_string"] = [], b""
        self.wire.forget_handshake()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Clients have nothing to say here; what they send is read and dropped."""

    async def deny(self, status: int, error: str, code: str, *, retry_after: int | None = None) -> None:
        """Refuse the handshake, with a status where the server can give one (else it is 403)."""
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            await self.close()
            return
        headers = [(b"content-type", b"application/json; charset=utf-8")]
        if retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after))
        elif status in RETRY_AFTER:
            headers.append((b"retry-after", RETRY_AFTER[status]))
        await self.base_send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        content = json.dumps(body(error, code)).encode()
        await self.base_send({"type": "websocket.http.response.body", "body": content})


class NoSuchStream(EventStream):
    async def connect(self) -> None:
        await self.deny(404, "not found: the event stream is at /ws", "not_found")


def admit(asked: StreamRequest) -> Admission:
    """Raises UnauthorizedError."""
    as_of = revision.current()  # read first: what changes from here on is noticed
    actor = authenticate(asked.token, address=asked.remote_addr)
    return Admission(as_of, actor, find_place(asked, actor))


def find_place(asked: StreamRequest, actor: Actor) -> Place | None:
    workspace_id = asked.workspace or actor.workspace_id or DEFAULT_WORKSPACE
    if not visible_to(actor, Workspace.objects.filter(pk=workspace_id)).exists():
        return None
    # A revision belongs to one environment: who resumes without naming one means the one that a fetch would be from.
    name = asked.namespace or actor.environment or (None if asked.since is None else "prod")
    if name is None:
        return Place(workspace_id, None)
    found = visible_to(actor, Environment.objects.filter(workspace_id=workspace_id, name=name)).first()
    return Place(workspace_id, found) if found else None


def presence(asked: StreamRequest, actor: Actor, place: Place) -> Presence:
    return Presence(
        workspace_id=place.workspace_id,
        client_type=asked.client,
        app=asked.app,
        namespace=place.environment.name if place.environment else "",
        remote_addr=asked.remote_addr,
        user_agent=asked.user_agent,
        actor=actor.name,
        connected_at=timezone.now(),
    )
