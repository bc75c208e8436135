"""The providers there are, and how a request's wishes become a call."""

import os
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from agents.outbound import check_base_url
from agents.providers.base import MODEL_PARAMETERS, ModelCall, Provider
from governance.errors import InvalidInputError

OR_SEND_IT = ", or send api_key"
_KEY = re.compile(r"[\x21-\x7e]+")

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="mock", label="Mock (offline)", base_url="http://mock.invalid/v1", default_model="mock-1", offline=True
        ),
        Provider(
            name="openai",
            label="OpenAI",
            base_url="https://api.openai.com/v1",
            default_model="gpt-4o-mini",
            key_variable="OPENAI_API_KEY",
        ),
        Provider(
            name="claude",
            label="Anthropic Claude",
            base_url="https://api.anthropic.com/v1",
            default_model="claude-sonnet-4-5",
            key_variable="ANTHROPIC_API_KEY",
        ),
        Provider(name="ollama", label="Ollama", base_url="http://localhost:11434/v1", default_model="llama3.2"),
        Provider(
            name="gemini",
            label="Google Gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            default_model="gemini-2.5-flash",
            key_variable="GEMINI_API_KEY",
        ),
    )
}


def find(name: str) -> Provider:
    """The provider of that name. Raises InvalidInputError, which lists those there are."""
    provider = PROVIDERS.get(name)
    if provider is None:
        raise InvalidInputError.of("provider", f"unknown provider {name!r}; expected one of: {', '.join(PROVIDERS)}")
    return provider


def base_url_of(provider: Provider) -> str:
    """Where the provider is: the operator may move it with PROMPTOPS_<NAME>_BASE_URL."""
    return os.environ.get(f"PROMPTOPS_{provider.name.upper()}_BASE_URL") or provider.base_url


def key_of(provider: Provider) -> str | None:
    """The server's own key for the provider. It may come from a file, with a newline at its end."""
    return os.environ.get(provider.key_variable, "").strip() or None if provider.key_variable else None


def describe() -> list[dict[str, Any]]:
    """The providers for people, without their keys."""
    return [
        {
            "name": provider.name,
            "label": provider.label,
            "default_model": provider.default_model,
            "needs_key": provider.key_variable is not None,
            "configured": provider.key_variable is None or key_of(provider) is not None,
        }
        for provider in PROVIDERS.values()
    ]


def prepare(
    *,
    provider: str,
    model: str,
    prompt: str,
    config: Mapping[str, Any],
    api_key: str | None = None,
    base_url: str | None = None,
) -> ModelCall:
    """A call, ready to be made.

    The server's key goes to the provider's own address only: with a `base_url` from the request, just the request's
    `api_key` is used. Raises InvalidInputError for an unknown provider, an address that is not allowed, and a key that
    lacks or that no header can carry.
    """
    found = find(provider)
    own_address = base_url is None
    url = base_url_of(found) if base_url is None else check_base_url(base_url)
    key = api_key or (key_of(found) if own_address else None)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInputError.of("api_key", "expected visible ASCII characters only, as a header can carry them")
    if key is None and found.key_variable is not None and own_address:
        raise InvalidInputError.of(
            "api_key", f"there is no key for {found.label}: set {found.key_variable} on the server{OR_SEND_IT}"
        )
    return ModelCall(
        provider=found,
        model=model or found.default_model,
        prompt=prompt,
        base_url=url,
        api_key=key,
        parameters={name: value for name, value in config.items() if name in MODEL_PARAMETERS},
        timeout=settings.PROMPTOPS_PROVIDER_TIMEOUT,
    )
