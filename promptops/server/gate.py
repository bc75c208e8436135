"""ASGI applications before Django: the limit of a body, which Django would write to the disk, and the lifespan."""

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from django.conf import settings

from governance.api.exceptions import body
from governance.core.logs import new_request_id
from governance.realtime import runtime
from promptops.server import draining
from workflows.engine import supervisor

logger = logging.getLogger("promptops")

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


#: Seconds after which a thread that works lets the event loop in. Python's own 5 ms is many times what a fetch takes.
SWITCH_INTERVAL = 0.0001
#: Seconds that steps under way are waited for when the server stops.
GRACE = 5.0
#: How much of a refused body is read and dropped, and for how long, so that its client can read the answer.
LINGER_BYTES = 64 * 1024 * 1024
LINGER_SECONDS = 10.0


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Answers 413 as soon as a body is longer than the limit, by its Content-Length or by what has arrived."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit: int = settings.PROMPTOPS_MAX_BODY_BYTES
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if length.isdigit() and int(length) > limit:
            await _refuse(scope, receive, send, limit)
            return
        seen = 0
        started, more = False, True

        async def counted() -> Message:
            nonlocal seen, more
            message = await receive()
            more = message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.application(scope, counted, noted)
        except _TooLargeError:
            if not started:
                await _refuse(scope, receive, send, limit, more=more)


def error_body(scope: Scope, sentence: str, code: str) -> dict[str, Any]:
    """The contract's body of an error, for a request that Django does not see."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return {**body(sentence, code), "request_id": new_request_id(sent.decode("latin-1"))}


async def send_json(
    scope: Scope, send: Send, status: int, content: Mapping[str, Any], *headers: tuple[bytes, bytes], last: bool = True
) -> None:
    """Answer with `content`; the answer is whole, though it is only over when something `last` was sent."""
    raw = json.dumps(content).encode()
    identity = content.get("request_id") or error_body(scope, "", "")["request_id"]
    own = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(raw)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", identity.encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": raw, "more_body": not last})


async def _refuse(scope: Scope, receive: Receive, send: Send, limit: int, *, more: bool = True) -> None:
    """Answer, and read on for a while: closing at once could keep a client that still sends from reading the answer."""
    content = error_body(scope, f"the request body is over the limit of {limit} bytes", "payload_too_large")
    await send_json(scope, send, 413, content, (b"connection", b"close"), last=False)
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while more and left > 0:
                message = await receive()
                more = message.get("more_body", False)
                left -= len(message.get("body", b""))
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


class Lifespan:
    """Starts realtime and the supervisor of workflow runs with the server, and stops them with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await runtime.start()
                supervisor.start(takes_runs=settings.PROMPTOPS_WORKFLOW_WORKERS != "external")
                draining.on_sigterm()
                sys.setswitchinterval(SWITCH_INTERVAL)
                gc.freeze()  # the garbage collector need not look again at what was loaded until here
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(supervisor.stop, GRACE)
                await runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
