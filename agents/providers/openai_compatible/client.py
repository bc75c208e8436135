"""OpenAI's API for chat completions: builds the request, has the openai package send it, and has the answer read.

Left to itself the package takes keys, headers and addresses from the environment, follows redirects with the key and
waits for ten minutes, so each of its defaults is set here. Nothing in an answer is taken for granted: `reading.py`
reads it from bytes.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.providers.openai_compatible.failures import failure_of
from agents.providers.openai_compatible.reading import Answer, UnusableError
from agents.providers.parameters import FEATURES, MODEL_PARAMETERS
from agents.providers.protocol import TOOLS, Completion, Message, ModelCall, ToolCall
from agents.transport import calls, outbound
from governance.api.parsing import storable
from governance.core.errors import ProviderError, ProviderTimeoutError

if TYPE_CHECKING:
    import httpx2

    from agents.providers.openai_compatible.peeking import Peeking

logger = logging.getLogger("promptops.providers")

#: The headers that a provider is sent beside our own. The package has more, also from OPENAI_CUSTOM_HEADERS.
_SENT = frozenset({"host", "accept", "connection", "content-length", "content-type"})


@functools.cache
def load() -> Any:
    """The openai package. Loading it takes a second of CPU, so it is done with the first call and not at the start."""
    import openai

    return openai


class OpenAICompatible:
    """The implementation of `ChatProvider` for OpenAI's API."""

    supports = MODEL_PARAMETERS | FEATURES | {TOOLS}

    def warm_up(self) -> None:
        load()
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

    async def transport(self, call: ModelCall) -> "httpx2.AsyncBaseTransport":
        """What carries this call's requests: it connects to nothing but the provider's checked addresses."""
        try:
            admitted = await outbound.admit(call.base_url, is_vouched=call.is_vouched)
        except ProviderError as error:
            raise ProviderError(f"{call.provider.label}: {error.message}") from None
        return calls.connection(admitted)

    async def _exchange(self, call: ModelCall, *, streamed: bool) -> AsyncIterator[str | Completion]:
        """The pieces of the output as they can be handed on, at last the completion."""
        answer, progress = Answer(), _Progress()
        with _partial_output_kept(answer), _as_provider_errors(call, progress):
            async with asyncio.timeout(call.timeout), AsyncExitStack() as stack:
                response = await _answered(call, await self.transport(call), stack, progress, streamed=streamed)
                progress.is_reading = True
                async for piece in response.aiter_bytes():
                    for text in answer.feed(piece):
                        yield text
                for text in answer.end():
                    yield text
                completion = answer.completion(call)
        yield completion


@dataclass(slots=True)
class _Progress:
    """How far a call has come, for the message of the error that may end it."""

    transport: "Peeking | None" = None
    is_reading: bool = False

    @property
    def last_status(self) -> int | None:
        return self.transport.last_status if self.transport is not None else None


async def _answered(
    call: ModelCall,
    transport: "httpx2.AsyncBaseTransport",
    stack: AsyncExitStack,
    progress: _Progress,
    *,
    streamed: bool,
) -> "httpx2.Response":
    """The provider's response as it is. The package sends the request, and repeats it after failures that may pass.

    The connection is open until `stack` is closed. Without `streamed` the body has been read already.
    """
    import httpx2  # loaded by warm_up

    from agents.providers.openai_compatible.peeking import Peeking  # brings httpx2
    from agents.transport import http  # as above

    progress.transport = Peeking(http.Bounded(transport))
    openai = load()
    client = openai.AsyncOpenAI(
        api_key="none",  # None would make it take OPENAI_API_KEY; what is sent is up to _headers
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=call.base_url,
        timeout=call.timeout,
        max_retries=call.retries,
        http_client=httpx2.AsyncClient(
            transport=progress.transport,
            follow_redirects=False,
            trust_env=False,
            timeout=call.timeout,
            event_hooks={"request": [_headers(call)]},
        ),
    )
    await stack.enter_async_context(client)
    mode: dict[str, Any] = {"stream": True, "stream_cls": openai.AsyncStream[object]} if streamed else {}
    body = _body(call, streamed=streamed)
    response: httpx2.Response = await client.post("/chat/completions", cast_to=httpx2.Response, body=body, **mode)
    return response


def _headers(call: ModelCall) -> "Callable[[httpx2.Request], Awaitable[None]]":
    """Makes the headers of a request ours: our key for that provider if there is one, and nothing of the package's."""

    async def replace(request: "httpx2.Request") -> None:
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["User-Agent"] = calls.HEADERS["User-Agent"]
        request.headers["Accept-Encoding"] = calls.HEADERS["Accept-Encoding"]
        if call.api_key:
            request.headers["Authorization"] = f"Bearer {call.api_key}"

    return replace


# --- the request ------------------------------------------------------------------------------------------------


def _body(call: ModelCall, *, streamed: bool) -> dict[str, Any]:
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
    return body


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
    import httpx2  # loaded by warm_up

    openai, label = load(), call.provider.label
    try:
        yield
    except ProviderError:
        raise
    except (TimeoutError, openai.APITimeoutError):
        status = progress.last_status
        if status is not None and (status == 429 or status >= 500):
            raise ProviderError(f"{label} answered {status}, and again until the time was over") from None
        raise ProviderTimeoutError(f"{label} did not answer within {call.timeout:g} seconds") from None
    except openai.APIStatusError as error:
        reason = _line(failure_of(error.response.text).reason, call)
        message = f"{label} answered {error.status_code}{reason and f': {reason}'}"
        raise ProviderError(message, retry_after=calls.retry_after_of(error.response.headers)) from None
    except (openai.APIConnectionError, httpx2.TransportError) as error:
        cause = error.__cause__ or error
        event = "broke off" if progress.is_reading else "could not be reached"
        raise ProviderError(f"{label} {event}: {_line(cause, call) or type(cause).__name__}") from None
    except UnusableError as error:
        raise ProviderError(f"{label} {_line(error, call)}") from None
    except Exception as error:  # what the package, or we, did not foresee in a foreign answer
        logger.warning("%s: %s while reading an answer", call.provider.name, type(error).__name__)
        raise ProviderError(f"{label} answered in a way that can't be read: {_line(error, call)}") from None


def _line(text: object, call: ModelCall) -> str:
    """The text in one line of at most 500 characters, without our key."""
    line = " ".join(storable(str(text)).split())
    return (line.replace(call.api_key, "[key]") if call.api_key else line)[:500]
