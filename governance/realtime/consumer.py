"""The Channels consumer of `/ws`: a handshake is admitted or refused, then a Stream does the rest."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError, InterfaceError

from governance.core.errors import BusyError, DomainError, NotFoundError
from governance.realtime import handshake, runtime
from governance.realtime.stream import Stream


class EventStream(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    channel_layer_alias = "none"  # frames come from the hub; a channel for each socket would only cost memory
    stream: Stream | None = None

    async def __call__(self, *arguments: Any) -> None:
        try:
            await super().__call__(*arguments)
        finally:  # however it ended: a client that left, an error, the server's end
            if self.stream is not None:
                self.stream.end()

    async def connect(self) -> None:
        here = await runtime.start()
        try:
            with here.hub.opening():
                admission = await handshake.admit(self.scope, here.work)
            here.hub.require_room_for(admission.actor)
        except DomainError as error:
            await self.refuse(error)
            return
        except (DatabaseError, InterfaceError):
            await self.refuse(BusyError("the database is busy or down: try again"))
            return
        await self.accept()
        self.stream = Stream(here, admission, self.scope, self.base_send)
        code = await self.stream.follow()
        if code is not None:
            await self.close(code.value)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Clients have nothing to say here; what they send is read and dropped."""

    async def refuse(self, error: DomainError) -> None:
        """With the error's status where the server can give one, else with 403."""
        if handshake.can_be_refused(self.scope):
            await handshake.refuse(self.base_send, error)
        else:
            await self.close()


class NoSuchStream(EventStream):
    async def connect(self) -> None:
        await self.refuse(NotFoundError("not found: the event stream is at /ws"))
