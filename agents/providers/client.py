"""The one client for every provider: OpenAI's, with each of its defaults made explicit.

Left to itself it takes keys, headers and addresses from the environment, follows redirects with the key in hand, tries
again and waits for ten minutes. Nothing that a provider says is believed to be what it should be.
"""

import asyncio
import functools
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from agents.providers import mock
from agents.providers.base import Completion, ModelCall
from governance.errors import ProviderError, ProviderTimeoutError

logger = logging.getLogger("promptops.providers")

#: The headers that a provider is sent beside our key. The package has more, of its own and of OPENAI_CUSTOM_HEADERS.
_SENT = frozenset({"host", "accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_COUNT = 2**31 - 1


@functools.cache
def load() -> Any:
    """The openai package. Loading it takes a second of CPU: the first call pays, on its own thread, not the start."""
    import openai

    return openai


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a call on a local network."""
    return ssl.create_default_context()


def warm_up() -> None:
    """Do what is slow before the event loop is in it."""
    load()
    _tls()


async def complete(call: ModelCall) -> Completion:
    """Make the call. Raises ProviderError, or ProviderTimeoutError after `call.timeout` seconds in all."""
    openai, label = load(), call.provider.label
    try:
        async with asyncio.timeout(call.timeout), _client(call) as client:
            answer = await client.chat.completions.create(
                model=call.model, messages=[{"role": "user", "content": call.prompt}], **call.parameters
            )
    except (TimeoutError, openai.APITimeoutError):
        raise ProviderTimeoutError(f"{label} did not answer within {call.timeout:g} seconds") from None
    except openai.APIStatusError as error:
        reason = _line(error.message, call).removeprefix(f"Error code: {error.status_code}").removeprefix(" - ")
        raise ProviderError(f"{label} answered {error.status_code}{reason and f': {reason}'}") from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise ProviderError(f"{label} could not be reached: {_line(cause, call) or type(cause).__name__}") from None
    except Exception as error:  # whatever the package trips over in a foreign answer, or in an operator's address
        logger.warning("%s: %s while reading an answer", call.provider.name, type(error).__name__)
        raise ProviderError(f"{label} answered in a way that can't be read: {_line(error, call)}") from None
    return _read(call, answer)


def _client(call: ModelCall) -> Any:
    import httpx2

    inner = mock.transport() if call.provider.offline else httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    return load().AsyncOpenAI(
        api_key="none",  # None would send for OPENAI_API_KEY; what is sent is up to _headers
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=call.base_url,
        timeout=call.timeout,
        max_retries=0,
        http_client=httpx2.AsyncClient(
            transport=inner,
            follow_redirects=False,
            trust_env=False,
            timeout=call.timeout,
            event_hooks={"request": [_headers(call)]},
        ),
    )


def _headers(call: ModelCall) -> Callable[[Any], Awaitable[None]]:
    """The last word on what a request carries: our key for that place if there is one, and nobody else's."""

    async def settle(request: Any) -> None:
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["User-Agent"] = "PromptOps"
        if call.api_key:
            request.headers["Authorization"] = f"Bearer {call.api_key}"

    return settle


def _read(call: ModelCall, answer: Any) -> Completion:
    """What can be used of an answer whose types nobody checked."""
    try:
        choice = answer.choices[0]
        output = choice.message.content
        if not isinstance(output, str | None):
            raise TypeError
    except (AttributeError, LookupError, TypeError):
        raise ProviderError(f"{call.provider.label} answered without a completion") from None
    return Completion(
        output=_clean(output or ""),
        model=_text(answer, "model") or call.model,
        finish_reason=_text(choice, "finish_reason"),
        prompt_tokens=_count(answer, "prompt_tokens"),
        output_tokens=_count(answer, "completion_tokens"),
    )


def _text(holder: Any, name: str) -> str | None:
    value = getattr(holder, name, None)
    return _clean(value)[:200] if isinstance(value, str) else None


def _count(answer: Any, name: str) -> int | None:
    value = getattr(getattr(answer, "usage", None), name, None)
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _clean(text: str) -> str:
    """Without what no database and no JSON text takes."""
    return _UNSTORABLE.sub("\ufffd", text)


def _line(said: object, call: ModelCall) -> str:
    """What was said, in one line of some length, and without our key in it."""
    line = " ".join(_clean(str(said)).split())
    return (line.replace(call.api_key, "[key]") if call.api_key else line)[:500]
