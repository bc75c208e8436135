"""A model that needs no network and no key: the same answer for the same prompt.

It is a transport under the real client, so that what runs against it is the production path. The model's name tells it
to misbehave, for those who want to see what their application does then, or to call tools (`script.py`).
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from agents.providers.mock import script

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


def answer(request_body: bytes) -> dict[str, Any]:
    """The chat completion (OpenAI's format) of a request."""
    asked = json.loads(request_body)
    prompt = "\n".join(str(message["content"]) for message in asked["messages"] if message["content"] is not None)
    calls, output = script.next_step(asked)
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
        "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
        },
    }


def transport() -> Any:
    import httpx2  # comes with openai, which is loaded with the first call

    class Words(httpx2.AsyncByteStream):
        """An answer as server-sent events, word by word."""

        def __init__(self, whole: dict[str, Any], pause: float) -> None:
            self.whole, self.pause = whole, pause

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in _chunks(self.whole):
                await asyncio.sleep(self.pause)
                yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"

    async def respond(request: Any) -> Any:
        asked = json.loads(request.content)
        model = asked["model"]
        if model in _FAILURES:
            status, said = _FAILURES[model]
            headers = {"Retry-After": "1"} if status == 429 else {}
            return httpx2.Response(status, json={"error": {"message": said}}, headers=headers)
        if model == "mock-stall":
            await asyncio.Event().wait()
        if model == "mock-malformed":
            broken = b'data: {"choices": [\n\n' if asked.get("stream") else b'{"choices": ['
            return httpx2.Response(200, content=broken, headers={"Content-Type": "application/json"})
        pause = 0.05 if model == "mock-slow" else 0.0
        whole = answer(request.content)
        if asked.get("stream"):
            headers = {"Content-Type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, stream=Words(whole, pause))
        await asyncio.sleep(pause * len(_words(whole)))
        return httpx2.Response(200, json=whole)

    return httpx2.MockTransport(respond)


def _words(whole: dict[str, Any]) -> list[str]:
    words: list[str] = _WORD.findall(whole["choices"][0]["message"]["content"] or "")
    return words


def _chunks(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """A completion as the pieces that a stream has of it, usage at the end."""
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": 0, "model": whole["model"]}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    calls = whole["choices"][0]["message"].get("tool_calls", [])
    return [
        *(chunk({"role": "assistant", "content": word}) for word in _words(whole)),
        *(chunk({"tool_calls": [{"index": number, **call}]}) for number, call in enumerate(calls)),
        chunk({}, whole["choices"][0]["finish_reason"]),
        {**head, "choices": [], "usage": whole["usage"]},
    ]


def _tokens(text: str) -> int:
    """About four characters a token."""
    return max(1, len(text) // 4)
