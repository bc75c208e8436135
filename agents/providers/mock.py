"""A model that needs no network and no key: the same answer for the same prompt.

It is a transport under the real client, so that what runs against it is the production path.
"""

import json
from typing import Any


def answer(request_body: bytes) -> dict[str, Any]:
    """The chat completion (OpenAI's format) of a request."""
    asked = json.loads(request_body)
    prompt = "\n".join(str(message["content"]) for message in asked["messages"])
    output = f"mock completion for: {prompt}"
    prompt_tokens, output_tokens = _tokens(prompt), _tokens(output)
    return {
        "id": "mock",
        "object": "chat.completion",
        "created": 0,
        "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": output}}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
        },
    }


def transport() -> Any:
    import httpx2  # comes with openai, which is loaded with the first call

    return httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer(request.content)))


def _tokens(text: str) -> int:
    """About four characters a token."""
    return max(1, len(text) // 4)
