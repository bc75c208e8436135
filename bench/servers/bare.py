"""The baselines: a hello in 250 bytes, a text to every socket that there is, and a model that takes a second."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELLO = b"x" * 250
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"250")]
COMPLETION = json.dumps(
    {
        "model": "bare",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Fine."}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
).encode()
sockets: set[Send] = set()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _socket(receive, send)
    elif scope["path"] == "/v1/chat/completions":
        await _complete(receive, send)
    elif scope["method"] == "POST":
        await _send_to_all((await receive())["body"].decode(), send)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": HELLO})


async def _complete(receive: Receive, send: Send) -> None:
    """A model provider that takes a second."""
    await receive()
    await asyncio.sleep(1)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(COMPLETION)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": COMPLETION})


async def _send_to_all(text: str, send: Send) -> None:
    """The bare loop: the same bytes to the same sockets, with nothing around it."""
    for socket in list(sockets):
        await socket({"type": "websocket.send", "text": text})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    sockets.add(send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    sockets.discard(send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
