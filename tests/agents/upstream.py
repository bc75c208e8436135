"""A local model provider that speaks as much of OpenAI's API as PromptOps asks for."""

import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

Handler = Callable[[Request], Response]


class Upstream:
    """`requests` holds what arrived; `answers` says what is answered from now on."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.requests: list[Request] = []
        self.handler: Handler
        self.answers(self.completion())
        server.clear()
        server.expect_request("/v1/chat/completions").respond_with_handler(self._handle)

    @property
    def place(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.place}/v1"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.get_data()) for request in self.requests]

    def answers(self, *answers: Response | Handler | Any) -> None:
        """Responses, functions of the request, or what is sent as JSON; one after the other, the last for ever."""
        waiting = [_handler(answer) for answer in answers]
        self.handler = lambda request: (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    def _handle(self, request: Request) -> Response:
        request.get_data()  # read now: it is asked for when the connection is gone
        self.requests.append(request)
        return self.handler(request)

    @staticmethod
    def completion(output: Any = "Fine.", **changes: Any) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "model-of-the-provider",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": output}}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            **changes,
        }


def _handler(answer: Any) -> Handler:
    if isinstance(answer, Response):
        return lambda request: answer
    if callable(answer):
        return answer  # type: ignore[no-any-return]
    return lambda request: Response(json.dumps(answer), content_type="application/json")
