"""One accepted socket: registered, brought up to date, written to, and taken out again when it ends."""

import asyncio
import logging
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from governance.clients.connections import Presence
from governance.realtime.frames import CloseCode
from governance.realtime.handshake import Admission, Place, Send
from governance.realtime.runtime import Runtime
from governance.realtime.sockets import GRACE, Socket
from governance.realtime.wire import Wire
from governance.tenancy.models import Environment

logger = logging.getLogger("promptops.realtime")


class Stream:
    """`scope` and `send` are those of the ASGI connection that was accepted."""

    def __init__(self, runtime: Runtime, admission: Admission, scope: dict[str, Any], send: Send) -> None:
        self._runtime = runtime
        self._admission = admission
        self._send = send
        self._wire = Wire(send)
        self._wire.forget_handshake(scope)
        self._socket: Socket | None = None
        self._writer: asyncio.Task[None] | None = None

    async def follow(self) -> CloseCode | None:
        """Send what was missed, and from then on what happens. Returns the code to close with if that can't be done."""
        if self._admission.place is None:
            return CloseCode.NOT_ALLOWED_THERE
        try:
            await self._go_live(self._admission.place)
        except Environment.DoesNotExist:  # it was deleted since
            return CloseCode.NOT_ALLOWED_THERE
        except (DatabaseError, InterfaceError) as error:
            logger.warning("could not bring a client up to date: %s", error)
            return CloseCode.TRY_AGAIN
        return None

    def end(self) -> None:
        """Take it out of the process. What the client has not read is dropped after a while."""
        if self._socket is not None:
            self._runtime.hub.remove(self._socket)
            self._runtime.connections.remove(self._socket.id)
            self._socket = None
        if self._writer is not None:
            self._writer.cancel()
        self._wire.finish(GRACE)

    async def _go_live(self, place: Place) -> None:
        """Register first, then read what was missed, then go live: no change falls between, and no revocation."""
        request, access, actor, _ = self._admission
        environment_id = place.environment.pk if place.environment else None
        self._socket = socket = Socket(
            actor=actor,
            workspace_id=place.workspace_id,
            environment_id=environment_id,
            drafts=request.drafts,
            since=request.since,
            runs=request.runs,
            deletes=request.deletes,
            wire=self._wire,
        )
        self._runtime.hub.add(socket)
        self._runtime.connections.add(socket.id, _presence(self._admission, place))
        self._writer = asyncio.create_task(self._write(socket))
        await self._runtime.tail.follow(place.workspace_id)
        if self._runtime.tail.access != access:
            await self._runtime.recheck_credentials(actor.credential)
        if request.since is not None and environment_id is not None:
            missed = await self._runtime.snapshots.backlog(
                environment_id, since=request.since, epoch=request.epoch, drafts=request.drafts
            )
            socket.go_live(missed.revision, missed.items)

    async def _write(self, socket: Socket) -> None:
        try:
            await socket.write_to(self._send)
        except Exception as error:  # the client went away in the middle of a frame
            logger.debug("socket %s: %s", socket.id, error)


def _presence(admission: Admission, place: Place) -> Presence:
    request = admission.request
    return Presence(
        workspace_id=place.workspace_id,
        client_type=request.client,
        app=request.app,
        namespace=place.environment.name if place.environment else "",
        remote_addr=request.remote_addr,
        user_agent=request.user_agent,
        actor=admission.actor.name,
        connected_at=timezone.now(),
    )
