"""A transport that answers as a provider with OpenAI's API would, without a network. Loaded with the first call.

A model's name makes it misbehave, for people who want to see what their application does then, or makes it call tools
(`script.py`).
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from agents.providers.mock import script
from governance.realtime import events

#: What a model's name makes of the answer. Every other name answers at once.
SCENARIOS = {
    "mock-slow": "a word each 50 ms",
    "mock-stall": "no answer at all",
    "mock-fail": "500",
    "mock-unauthorized": "401",
    "mock-rate-limit": "429, to be tried again after a second",
    "mock-malformed": "no JSON",
    "mock-tools": "a call of every tool on offer, then an answer",
    "mock-script": "what the lines of the prompt say that begin with @call or @answer",
}
_FAILURES = {
    "mock-fail": (500, "the mock failed, as it was asked to"),
    "mock-unauthorized": (401, "the mock does not know this key, as it was asked to"),
    "mock-rate-limit": (429, "the mock has enough of requests, as it was asked to"),
}
_WORD = re.compile(r"\S+\s*|\s+")


class MockTransport(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        model = body["model"]
        if model in _FAILURES:
            status, message = _FAILURES[model]
            headers = {"Retry-After": "1"} if status == 429 else {}
            return httpx2.Response(status, json={"error": {"message": message}}, headers=headers)
        if model == "mock-stall":
            await asyncio.Event().wait()
        if model == "mock-malformed":
            broken = b'data: {"choices": [\n\n' if body.get("stream") else b'{"choices": ['
            return httpx2.Response(200, content=broken, headers={"Content-Type": "application/json"})
        pause = 0.05 if model == "mock-slow" else 0.0
        completion = _completion(body)
        if body.get("stream"):
            headers = {"Content-Type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, stream=_Words(completion, pause))
        if pause:
            await asyncio.sleep(pause * len(_words(completion)))
        return httpx2.Response(200, json=completion)


class _Words(httpx2.AsyncByteStream):
    """A completion as server-sent events, word by word."""

    def __init__(self, completion: dict[str, Any], pause: float) -> None:
        self._completion, self._pause = completion, pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in _chunks(self._completion):
            await asyncio.sleep(self._pause)
            yield events.encode("", chunk)
        yield b"data: [DONE]\n\n"


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    """The chat completion (OpenAI's format) that answers a request."""
    prompt = "\n".join(str(message["content"]) for message in body["messages"] if message["content"] is not None)
    calls, output = script.next_step(body)
    prompt_tokens, output_tokens = _tokens(prompt), _tokens(output + "".join(arguments for _, arguments in calls))
    message: dict[str, Any] = {"role": "assistant", "content": output or None if calls else output}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    return {
        "id": "mock",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
        },
    }


def _words(completion: dict[str, Any]) -> list[str]:
    words: list[str] = _WORD.findall(completion["choices"][0]["message"]["content"] or "")
    return words


def _chunks(completion: dict[str, Any]) -> list[dict[str, Any]]:
    """A completion as the pieces that a stream has of it, usage at the end."""
    head = {"id": completion["id"], "object": "chat.completion.chunk", "created": 0, "model": completion["model"]}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    calls = completion["choices"][0]["message"].get("tool_calls", [])
    return [
        *(chunk({"role": "assistant", "content": word}) for word in _words(completion)),
        *(chunk({"tool_calls": [{"index": number, **call}]}) for number, call in enumerate(calls)),
        chunk({}, completion["choices"][0]["finish_reason"]),
        {**head, "choices": [], "usage": completion["usage"]},
    ]


def _tokens(text: str) -> int:
    """About four characters a token."""
    return max(1, len(text) // 4)
