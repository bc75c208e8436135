"""The one client for every provider: OpenAI's, with each of its defaults made explicit.

Left to itself it takes keys, headers and addresses from the environment, follows redirects with the key in hand and
waits for ten minutes. Nothing that a provider says is believed to be what it should be.
"""

import asyncio
import functools
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from agents.providers import telemetry
from agents.providers.answers.failures import failure_of
from agents.providers.answers.reading import Answer, UnusableError
from agents.providers.mock import transport
from agents.providers.protocol import Completion, ModelCall
from agents.transport import outbound
from agents.transport.calls import retry_after_of
from governance.api.parsing import storable
from governance.core.errors import ProviderError, ProviderTimeoutError

logger = logging.getLogger("promptops.providers")

#: The headers that a provider is sent beside our key. The package has more, of its own and of OPENAI_CUSTOM_HEADERS.
_SENT = frozenset({"host", "accept", "connection", "content-length", "content-type"})


@functools.cache
def load() -> Any:
    """The openai package. Loading it takes a second of CPU: the first call pays, on its own thread, not the start."""
    import openai

    return openai


@functools.cache
def warm_up() -> None:
    """Do what is slow before the event loop is in it."""
    load()
    from agents.transport import http  # brings httpx2, as openai does

    http.tls()
    gc.freeze()  # what was loaded stays: to walk it again and again held up the whole process, 30 ms at a time


async def complete(call: ModelCall) -> Completion:
    """Make the call. Raises ProviderError, or ProviderTimeoutError after `call.timeout` seconds in all.

    An error that comes with half of an answer has that as `output` in its `extra`.
    """
    with telemetry.chat(call) as span:
        answer = Answer()
        with _half_kept(answer):
            async with session(call) as client:
                response = await _sent(client, call)
                for _ in (*answer.feed(response.content), *answer.end()):
                    pass
                completion = answer.completion(call)
        span.complete(completion)
        return completion


async def stream(call: ModelCall) -> AsyncIterator[str | Completion]:
    """Make the call and yield its output piece by piece, at the end the completion. Raises like `complete`."""
    with telemetry.chat(call) as span:
        answer = Answer()
        with _half_kept(answer):
            async with session(call) as client:
                response = await _sent(client, call, stream=True)
                async for piece in response.aiter_bytes():
                    for text in answer.feed(piece):
                        yield text
                for text in answer.end():
                    yield text
                completion = answer.completion(call)
        span.complete(completion)
        yield completion


async def _sent(client: Any, call: ModelCall, *, stream: bool = False) -> Any:
    """The response to the call, as it is: the package would make of its body what the body need not be."""
    import httpx2  # comes with openai, which is loaded by now

    body: dict[str, Any] = {"model": call.model, "messages": list(call.said), **call.parameters}
    if call.tools:
        body["tools"] = list(call.tools)
    if stream:
        body["stream"] = True
        if "stream_options" not in call.provider.unsupported:
            body["stream_options"] = {"include_usage": True}
    how: dict[str, Any] = {"stream": True, "stream_cls": load().AsyncStream[object]} if stream else {}
    return await client.post("/chat/completions", cast_to=httpx2.Response, body=body, **how)


@contextmanager
def _half_kept(answer: Answer) -> Iterator[None]:
    """Have an error that comes in the middle of an answer say so, and keep what there is of it."""
    try:
        yield
    except ProviderError as error:
        if answer.output:
            error.extra.setdefault("output", answer.output)
            error.message += f" (what came before is half of an answer: {len(answer.output)} characters)"
        raise


@dataclass(slots=True)
class _Going:
    """What is known of a call on its way, for the error that may end it."""

    status: Callable[[], int | None] = lambda: None


@asynccontextmanager
async def session(call: ModelCall) -> AsyncIterator[Any]:
    """An `AsyncOpenAI` that can make calls to this call's provider only; what goes wrong inside is a ProviderError.

    The time for all that is done with it is `call.timeout`.
    """
    import httpx2

    from agents.providers.answers import candid as candid_transport
    from agents.transport import http  # brings httpx2, as openai does

    label = call.provider.label
    with _failures(call) as going:
        async with asyncio.timeout(call.timeout):
            if call.provider.offline:
                inner: Any = transport.transport()
            else:
                try:
                    admitted = await outbound.admit(call.base_url, vouched=call.vouched)
                except ProviderError as error:
                    raise ProviderError(f"{label}: {error.message}") from None
                inner = http.Guarded(admitted)
            candid = candid_transport.Candid(http.Bounded(inner))
            going.status = lambda: candid.last_status
            client = load().AsyncOpenAI(
                api_key="none",  # None would send for OPENAI_API_KEY; what is sent is up to _headers
                admin_api_key="",
                organization="",
                project="",
                webhook_secret="",
                base_url=call.base_url,
                timeout=call.timeout,
                max_retries=call.retries,
                http_client=httpx2.AsyncClient(
                    transport=candid,
                    follow_redirects=False,
                    trust_env=False,
                    timeout=call.timeout,
                    event_hooks={"request": [_headers(call)]},
                ),
            )
            async with client:
                yield client


@contextmanager
def _failures(call: ModelCall) -> Iterator[_Going]:
    """Everything that a call can trip over, as the errors that this module promises."""
    import httpx2  # comes with openai, which is loaded by now

    openai, label, going = load(), call.provider.label, _Going()
    try:
        yield going
    except ProviderError:
        raise
    except (TimeoutError, openai.APITimeoutError):
        status = going.status()
        if status is not None and (status == 429 or status >= 500):
            raise ProviderError(f"{label} answered {status}, and again until the time was over") from None
        raise ProviderTimeoutError(f"{label} did not answer within {call.timeout:g} seconds") from None
    except openai.APIStatusError as error:
        reason = _line(failure_of(error.response.text).reason, call)
        raise ProviderError(
            f"{label} answered {error.status_code}{reason and f': {reason}'}",
            retry_after=retry_after_of(error.response.headers),
        ) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise ProviderError(f"{label} could not be reached: {_line(cause, call) or type(cause).__name__}") from None
    except httpx2.TransportError as error:  # in the middle of a stream
        raise ProviderError(f"{label} broke off: {_line(error, call) or type(error).__name__}") from None
    except UnusableError as error:
        raise ProviderError(f"{label} {_line(error, call)}") from None
    except Exception as error:  # whatever the package trips over in a foreign answer, or in an operator's address
        logger.warning("%s: %s while reading an answer", call.provider.name, type(error).__name__)
        raise ProviderError(f"{label} answered in a way that can't be read: {_line(error, call)}") from None


def _headers(call: ModelCall) -> Callable[[Any], Awaitable[None]]:
    """The last word on what a request carries: our key for that place if there is one, and nobody else's."""

    async def settle(request: Any) -> None:
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["User-Agent"] = "PromptOps"
        request.headers["Accept-Encoding"] = "identity"  # a compressed answer could be of any size
        if call.api_key:
            request.headers["Authorization"] = f"Bearer {call.api_key}"

    return settle


def _line(said: object, call: ModelCall) -> str:
    """What was said, in one line of some length, and without our key in it."""
    line = " ".join(storable(str(said)).split())
    return (line.replace(call.api_key, "[key]") if call.api_key else line)[:500]
