"""The one client for every provider: OpenAI's, with each of its defaults made explicit.

Left to itself it takes keys and addresses from the environment, follows redirects with the key in hand, tries again and
waits for ten minutes.
"""

import asyncio
import functools
import ssl
from typing import Any

from agents.providers import mock
from agents.providers.base import Completion, ModelCall
from governance.errors import ProviderError, ProviderTimeoutError


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
    openai = load()
    try:
        async with asyncio.timeout(call.timeout), _client(call) as client:
            answer = await client.chat.completions.create(
                model=call.model, messages=[{"role": "user", "content": call.prompt}], **_parameters(call)
            )
    except (TimeoutError, openai.APITimeoutError):
        raise ProviderTimeoutError(f"{call.provider.label} did not answer within {call.timeout:g} seconds") from None
    except openai.APIStatusError as error:
        raise ProviderError(f"{call.provider.label} answered {error.status_code}: {_reason(error, call)}") from None
    except openai.APIConnectionError as error:
        raise ProviderError(f"{call.provider.label} could not be reached: {error.__cause__ or error}") from None
    except (openai.OpenAIError, ValueError, TypeError) as error:
        raise ProviderError(f"{call.provider.label} answered in a way that can't be read: {error}") from None
    return _read(call, answer)


def _client(call: ModelCall) -> Any:
    import httpx2

    inner = mock.transport() if call.provider.offline else httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    return load().AsyncOpenAI(
        api_key=call.api_key or "none",  # None would send for OPENAI_API_KEY
        organization="",
        project="",
        base_url=call.base_url,
        timeout=call.timeout,
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=inner, follow_redirects=False, trust_env=False, timeout=call.timeout),
    )


def _parameters(call: ModelCall) -> dict[str, Any]:
    """Known parameters by name; the package checks their types no more than the provider does."""
    return dict(call.parameters)


def _read(call: ModelCall, answer: Any) -> Completion:
    try:
        choice = answer.choices[0]
        usage = answer.usage
        return Completion(
            output=choice.message.content or "",
            model=answer.model or call.model,
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
        )
    except (AttributeError, IndexError, TypeError):
        raise ProviderError(f"{call.provider.label} answered without a completion") from None


def _reason(error: Any, call: ModelCall) -> str:
    """What the provider said, in one line and without our key in it."""
    text = " ".join(str(error.message).split())[:500]
    return text.replace(call.api_key, "[key]") if call.api_key else text
