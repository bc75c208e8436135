"""The one client for every provider: OpenAI's, with each of its defaults made explicit.

Left to itself it takes keys, headers and addresses from the environment, follows redirects with the key in hand and
waits for ten minutes. Nothing that a provider says is believed to be what it should be.
"""

import asyncio
import functools
import gc
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from agents import outbound, telemetry
from agents.providers import mock
from agents.providers.base import Completion, ModelCall, ToolCall, Usage
from governance.errors import ProviderError, ProviderTimeoutError

logger = logging.getLogger("promptops.providers")

#: The headers that a provider is sent beside our key. The package has more, of its own and of OPENAI_CUSTOM_HEADERS.
_SENT = frozenset({"host", "accept", "connection", "content-length", "content-type"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_COUNT = 2**31 - 1


@functools.cache
def load() -> Any:
    """The openai package. Loading it takes a second of CPU: the first call pays, on its own thread, not the start."""
    import openai

    return openai


@functools.cache
def warm_up() -> None:
    """Do what is slow before the event loop is in it."""
    load()
    from agents.providers import transport  # brings httpx2, as openai does

    transport.tls()
    gc.freeze()  # what was loaded stays: to walk it again and again held up the whole process, 30 ms at a time


async def complete(call: ModelCall) -> Completion:
    """Make the call. Raises ProviderError, or ProviderTimeoutError after `call.timeout` seconds in all."""
    with telemetry.chat(call) as span:
        async with session(call) as client:
            answer = await client.chat.completions.create(**_request(call))
        completion = _read(call, answer)
        span.complete(completion)
        return completion


async def stream(call: ModelCall) -> AsyncIterator[str | Completion]:
    """Make the call and yield its output piece by piece, at the end the completion. Raises like `complete`."""
    with telemetry.chat(call) as span:
        async for item in _stream(call):
            if not isinstance(item, str):
                span.complete(item)
            yield item


async def _stream(call: ModelCall) -> AsyncIterator[str | Completion]:
    pieces: list[str] = []
    wishes = _Wishes()
    last = usage = None
    async with session(call) as client:
        chunks = await client.chat.completions.create(
            **_request(call), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in chunks:
            usage = getattr(chunk, "usage", None) or usage
            choice = next(iter(getattr(chunk, "choices", None) or []), None)
            if choice is None:
                continue
            last = chunk if getattr(choice, "finish_reason", None) or last is None else last
            delta = getattr(choice, "delta", None)
            wishes.add(getattr(delta, "tool_calls", None))
            piece = getattr(delta, "content", None)
            if isinstance(piece, str) and piece:
                pieces.append(_clean(piece))
                yield pieces[-1]
    if last is None:
        raise ProviderError(f"{call.provider.label} answered without a completion")
    output = "".join(pieces)
    yield Completion(
        output=output,
        model=_text(last, "model") or call.model,
        finish_reason=_text(last.choices[0], "finish_reason"),
        usage=_usage(usage, call.text, output),
        tool_calls=wishes.taken(),
    )


def _request(call: ModelCall) -> dict[str, Any]:
    offered = {"tools": call.tools} if call.tools else {}
    return {"model": call.model, "messages": call.said, **offered, **call.parameters}


class _Wishes:
    """Calls of tools as a model asks for them: whole, or piece by piece in a stream."""

    def __init__(self) -> None:
        self._found: dict[int, dict[str, str]] = {}
        self._extra: dict[int, dict[str, Any]] = {}

    def add(self, told: Any) -> None:
        for number, one in enumerate(told if isinstance(told, list) else []):
            place = self._place(getattr(one, "index", None), number, _text(one, "id"))
            found = self._found.setdefault(place, {"id": "", "name": "", "args": ""})
            extra = getattr(one, "extra_content", None)
            if isinstance(extra, dict):
                self._extra[place] = extra
            asked = getattr(one, "function", None)
            for name, value in (("id", one), ("name", asked)):
                found[name] = found[name] or (_text(value, name) or "")
            piece = getattr(asked, "arguments", None)
            found["args"] += piece if isinstance(piece, str) else ""

    def _place(self, index: Any, number: int, identity: str | None) -> int:
        """Which call a piece is of. Some providers give every call the same index, and tell them apart by their ids."""
        place = index if type(index) is int else number
        if not identity or self._found.get(place, {}).get("id") in (None, "", identity):
            return place
        known = (place for place, found in self._found.items() if found["id"] == identity)
        return next(known, max(self._found) + 1)

    def taken(self) -> list[ToolCall]:
        """The calls in their order. One without a name is none; one without an id gets one."""
        return [
            ToolCall(
                id=one["id"] or f"call_{place}",
                name=one["name"],
                arguments=_clean(one["args"]),
                extra=self._extra.get(place),
            )
            for place, one in sorted(self._found.items())
            if one["name"]
        ]


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

    from agents.providers import transport  # brings httpx2, as openai does

    label = call.provider.label
    with _failures(call) as going:
        async with asyncio.timeout(call.timeout):
            if call.provider.offline:
                inner: Any = mock.transport()
            else:
                try:
                    admitted = await outbound.admit(call.base_url, vouched=call.vouched)
                except ProviderError as error:
                    raise ProviderError(f"{label}: {error.message}") from None
                inner = transport.Guarded(admitted)
            bounded = transport.Bounded(inner)
            going.status = lambda: bounded.last_status
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
                    transport=bounded,
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
        reason = _line(error.message, call).removeprefix(f"Error code: {error.status_code}").removeprefix(" - ")
        raise ProviderError(
            f"{label} answered {error.status_code}{reason and f': {reason}'}", retry_after=_retry_after(error.response)
        ) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise ProviderError(f"{label} could not be reached: {_line(cause, call) or type(cause).__name__}") from None
    except openai.APIError as error:  # in the middle of a stream
        raise ProviderError(f"{label} broke off: {_line(error.message, call)}") from None
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


def _retry_after(response: Any) -> int | None:
    """The seconds that a provider asks to wait, when it says so in figures (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 7 else None


def _read(call: ModelCall, answer: Any) -> Completion:
    """What can be used of an answer whose types nobody checked."""
    try:
        choice = answer.choices[0]
        output = choice.message.content
        if not isinstance(output, str | None):
            raise TypeError
    except (AttributeError, LookupError, TypeError):
        raise ProviderError(f"{call.provider.label} answered without a completion") from None
    text, wishes = _clean(output or ""), _Wishes()
    wishes.add(getattr(choice.message, "tool_calls", None))
    return Completion(
        output=text,
        model=_text(answer, "model") or call.model,
        finish_reason=_text(choice, "finish_reason"),
        usage=_usage(getattr(answer, "usage", None), call.text, text),
        tool_calls=wishes.taken(),
    )


def _usage(told: Any, prompt: str, output: str) -> Usage:
    """What the provider says that it counted; what it leaves out is estimated."""
    asked, answered = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    return Usage(
        prompt_tokens=_estimate(prompt) if asked is None else asked,
        output_tokens=_estimate(output) if answered is None else answered,
        cached_tokens=_count(getattr(told, "prompt_tokens_details", None), "cached_tokens"),
        estimated=asked is None or answered is None,
    )


def _estimate(text: str) -> int:
    """About four characters a token. Exact counting needs each model's own tables."""
    return -(-len(text) // 4)


def _text(holder: Any, name: str) -> str | None:
    value = getattr(holder, name, None)
    return _clean(value)[:200] if isinstance(value, str) else None


def _count(holder: Any, name: str) -> int | None:
    value = getattr(holder, name, None)
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _clean(text: str) -> str:
    """Without what no database and no JSON text takes."""
    return _UNSTORABLE.sub("\ufffd", text)


def _line(said: object, call: ModelCall) -> str:
    """What was said, in one line of some length, and without our key in it."""
    line = " ".join(_clean(str(said)).split())
    return (line.replace(call.api_key, "[key]") if call.api_key else line)[:500]
