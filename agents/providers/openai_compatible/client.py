"""OpenAI's API for chat completions: builds the request, sends it until it is answered, and has the answer read.

Nothing in an answer is taken for granted: `reading.py` reads it from bytes.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.providers.openai_compatible.failures import Failure, failure_of
from agents.providers.openai_compatible.peeking import PeekedBody
from agents.providers.openai_compatible.reading import Answer, UnusableError
from agents.providers.parameters import FEATURES, MODEL_PARAMETERS
from agents.providers.protocol import TOOLS, Completion, Message, ModelCall, ToolCall
from agents.transport import calls, outbound
from agents.transport.calls import OpenAnswer, UnansweredError
from governance.api.parsing import storable
from governance.core.errors import ProviderError, ProviderTimeoutError

if TYPE_CHECKING:
    import httpx2

    #: Opens a connection, one for each request.
    Connect = Callable[[], httpx2.AsyncBaseTransport]

logger = logging.getLogger("promptops.providers")

#: Seconds before the first repetition, which double with each further one up to the longest. A provider's own
#: Retry-After goes before that up to its limit.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 0.5, 8.0, 60


class OpenAICompatible:
    """The implementation of `ChatProvider` for OpenAI's API."""

    supports = MODEL_PARAMETERS | FEATURES | {TOOLS}

    def warm_up(self) -> None:
        calls.warm_up()

    async def complete(self, call: ModelCall) -> Completion:
        completion: Completion | None = None
        async for item in self._exchange(call, streamed=False):
            if isinstance(item, Completion):
                completion = item
        assert completion is not None  # noqa: S101  # it is the last item
        return completion

    async def stream(self, call: ModelCall) -> AsyncIterator[str | Completion]:
        async for item in self._exchange(call, streamed=True):
            yield item

    async def connection(self, call: ModelCall) -> "Connect":
        """How requests of this call reach the provider."""
        try:
            admitted = await outbound.admit(call.base_url, is_vouched=call.is_vouched)
        except ProviderError as error:
            raise ProviderError(f"{call.provider.label}: {error.message}") from None
        return lambda: calls.connection(admitted)

    async def _exchange(self, call: ModelCall, *, streamed: bool) -> AsyncIterator[str | Completion]:
        """The pieces of the output as they can be handed on, at last the completion."""
        answer, progress = Answer(), _Progress()
        with _partial_output_kept(answer), _as_provider_errors(call, progress):
            async with asyncio.timeout(call.timeout), AsyncExitStack() as stack:
                connection = await self.connection(call)
                body = await _answered(call, connection, stack, progress, streamed=streamed)
                progress.is_reading = True
                async for piece in body:
                    for text in answer.feed(piece):
                        yield text
                for text in answer.end():
                    yield text
                completion = answer.completion(call)
        yield completion


@dataclass(slots=True)
class _Progress:
    """How far a call has come, for the message of the error that may end it."""

    last_status: int | None = None
    is_reading: bool = False


class _FailedError(Exception):
    """The provider answered that it failed."""

    def __init__(self, status: int, failure: Failure, headers: Mapping[str, str]) -> None:
        super().__init__(failure.reason)
        self.status = status
        self.reason = failure.reason
        self.headers = headers

    @property
    def is_final(self) -> bool:
        """Whether it is no use to repeat the call. OpenAI says so itself, such as when an account has no credit."""
        advice = self.headers.get("x-should-retry")
        if advice in ("true", "false"):
            return advice == "false"
        return self.status not in {408, 409, 429} and self.status < 500


async def _answered(
    call: ModelCall, connect: "Connect", stack: AsyncExitStack, progress: _Progress, *, streamed: bool
) -> AsyncIterator[bytes]:
    """The body of the provider's answer; the call is repeated after failures that may pass.

    The connection of the answer is open until `stack` is closed. Without `streamed` the body has been read already.
    """
    content = _encoded(call, streamed=streamed)
    for repeated in range(call.retries + 1):
        try:
            async with AsyncExitStack() as attempt:
                answer = await attempt.enter_async_context(_sent(call, connect(), content))
                progress.last_status = answer.status
                body = await _checked(answer, progress, whole=not streamed)
                await stack.enter_async_context(attempt.pop_all())
                return body
        except (_FailedError, UnansweredError) as error:
            if error.is_final or repeated == call.retries:
                raise
            wait = calls.retry_after_of(error.headers) if isinstance(error, _FailedError) else None
        await asyncio.sleep(wait if wait and wait <= _LONGEST_RETRY_AFTER else _pause(repeated))
    raise AssertionError("the last attempt returns or raises")


def _sent(
    call: ModelCall, transport: "httpx2.AsyncBaseTransport", content: bytes
) -> AbstractAsyncContextManager[OpenAnswer]:
    key = {"Authorization": f"Bearer {call.api_key}"} if call.api_key else {}
    return calls.send(
        "POST",
        f"{call.base_url.rstrip('/')}/chat/completions",
        transport=transport,
        headers={**calls.HEADERS, "Content-Type": "application/json", **key},
        content=content,
    )


async def _checked(answer: OpenAnswer, progress: _Progress, *, whole: bool) -> AsyncIterator[bytes]:
    """The body of an answer that is no failure; else _FailedError."""
    if not 200 <= answer.status < 300:
        text = b"".join([piece async for piece in answer.body]).decode("utf-8", "replace")
        raise _FailedError(answer.status, failure_of(text), answer.headers)
    body = PeekedBody(answer.body)
    failure = await body.failure()
    if failure is not None and failure.may_pass:
        progress.last_status = failure.status
        raise _FailedError(failure.status or 500, failure, answer.headers)
    return _all_of([piece async for piece in body]) if whole else aiter(body)


async def _all_of(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _pause(repeated: int) -> float:
    """Seconds to wait, a little different each time so that many callers don't come back together."""
    seconds: float = min(_FIRST_PAUSE * 2**repeated, _LONGEST_PAUSE)
    return seconds * (1 - 0.25 * random.random())  # noqa: S311  # no secret


# --- the request ------------------------------------------------------------------------------------------------


def _encoded(call: ModelCall, *, streamed: bool) -> bytes:
    provider = call.provider
    messages = [_message(message, call) for message in call.conversation]
    body: dict[str, Any] = {"model": call.model, "messages": messages, **call.parameters}
    if call.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in call.tools
        ]
    if streamed:
        body["stream"] = True
        if provider.supports("stream_options"):
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _message(message: Message, call: ModelCall) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    carried = {name: value for name, value in message.carried.items() if name not in call.provider.unsupported}
    content = message.content if message.content.strip() else None
    return {
        "role": message.role,
        "content": content,
        **carried,
        "tool_calls": [_tool_call(one) for one in message.tool_calls],
    }


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
        **({"extra_content": call.extra} if call.extra else {}),
    }


# --- failures ---------------------------------------------------------------------------------------------------


@contextmanager
def _partial_output_kept(answer: Answer) -> Iterator[None]:
    """Put what came of the answer into an error that ends it in the middle."""
    try:
        yield
    except ProviderError as error:
        if answer.output:
            error.extra.setdefault("output", answer.output)
            error.message += f" (what came before is half of an answer: {len(answer.output)} characters)"
        raise


@contextmanager
def _as_provider_errors(call: ModelCall, progress: _Progress) -> Iterator[None]:
    """Turn everything that can go wrong in a call into the errors that `ChatProvider` promises."""
    label = call.provider.label
    try:
        yield
    except ProviderError:
        raise
    except TimeoutError:
        status = progress.last_status
        if status is not None and (status == 429 or status >= 500):
            raise ProviderError(f"{label} answered {status}, and again until the time was over") from None
        raise ProviderTimeoutError(f"{label} did not answer within {call.timeout:g} seconds") from None
    except _FailedError as error:
        reason = _line(error.reason, call)
        message = f"{label} answered {error.status}{reason and f': {reason}'}"
        raise ProviderError(message, retry_after=calls.retry_after_of(error.headers)) from None
    except UnansweredError as error:
        event = "broke off" if progress.is_reading else "could not be reached"
        raise ProviderError(f"{label} {event}: {_line(error.cause, call)}") from None
    except UnusableError as error:
        raise ProviderError(f"{label} {_line(error, call)}") from None
    except Exception as error:  # what nobody foresaw in a foreign answer
        logger.warning("%s: %s while reading an answer", call.provider.name, type(error).__name__)
        raise ProviderError(f"{label} answered in a way that can't be read: {_line(error, call)}") from None


def _line(text: object, call: ModelCall) -> str:
    """The text in one line of at most 500 characters, without our key."""
    line = " ".join(storable(str(text)).split())
    return (line.replace(call.api_key, "[key]") if call.api_key else line)[:500]
