"""The providers there are, and how a request's wishes become a call."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction

from agents.models import ModelProvider
from agents.providers.parameters import chosen
from agents.providers.protocol import ModelCall, Provider
from agents.transport.outbound import check_base_url
from governance.core import ciphertext
from governance.core.errors import InvalidInputError

OR_SEND_IT = ", or send api_key"
_KEY = re.compile(r"[\x21-\x7e]+")

#: Those that need no setting up beyond a key. An admin adds more, or stores a key for these (ModelProvider).
BUILT_IN: dict[str, Provider] = {
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
            needs_key=True,
        ),
        Provider(
            name="claude",
            label="Anthropic Claude",
            base_url="https://api.anthropic.com/v1",
            default_model="claude-sonnet-4-5",
            key_variable="ANTHROPIC_API_KEY",
            needs_key=True,
        ),
        Provider(name="ollama", label="Ollama", base_url="http://localhost:11434/v1", default_model="llama3.2"),
        Provider(
            name="gemini",
            label="Google Gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            default_model="gemini-2.5-flash",
            key_variable="GEMINI_API_KEY",
            needs_key=True,
        ),
    )
}


def providers() -> dict[str, Provider]:
    """All there are, by name: the built-in ones as the operator and the admins set them up, then the admins' own."""
    found = {name: _as_operator_has_it(provider) for name, provider in BUILT_IN.items()}
    for row in ModelProvider.objects.order_by("name"):
        found[row.name] = _as_admin_has_it(found.get(row.name), row)
    return found


def find(name: str) -> Provider:
    """The provider of that name. Raises InvalidInputError, which lists those there are."""
    there = providers()
    if name not in there:
        raise InvalidInputError.of("provider", f"unknown provider {name!r}; expected one of: {', '.join(there)}")
    return there[name]


def hold(name: str) -> Provider:
    """The same for a write that stores the name: the provider can't be deleted before the transaction ends."""
    if transaction.get_connection().in_atomic_block:
        ModelProvider.objects.select_for_update().filter(name=name).values_list("pk").first()
    return find(name)


def key_of(provider: Provider) -> str | None:
    """The server's own key for the provider: the stored one, else that of the environment, which may end in a newline.

    Raises InvalidInputError when the stored one can't be read any more.
    """
    if provider.stored_key:
        try:
            return ciphertext.decrypt(provider.stored_key)
        except ciphertext.UnreadableError:
            raise InvalidInputError.of(
                "provider", f"the stored key of {provider.label} can't be read: SECRET_KEY was changed; store it again"
            ) from None
    return os.environ.get(provider.key_variable, "").strip() or None if provider.key_variable else None


def describe() -> list[dict[str, Any]]:
    """The providers for people, without their keys."""
    return [
        {
            "name": provider.name,
            "label": provider.label,
            "default_model": provider.default_model,
            "needs_key": provider.needs_key,
            "configured": not provider.needs_key or bool(provider.stored_key) or key_of(provider) is not None,
        }
        for provider in providers().values()
    ]


def prepare(
    *,
    provider: str,
    model: str,
    prompt: str,
    config: Mapping[str, Any],
    asked: Iterable[str] = (),
    api_key: str | None = None,
    base_url: str | None = None,
) -> ModelCall:
    """A call, ready to be made.

    Of `config`, the names in `asked` are the request's own: those that can't be sent are refused, while those that a
    prompt or an agent has for other purposes are told in the answer. The server's key goes to the provider's own
    address only: with a `base_url` from the request, just the request's `api_key` is used; an empty one of either is
    none. Raises InvalidInputError for an unknown provider, a parameter that can't be sent, an address that is not
    allowed, and a key that lacks or that no header can carry.
    """
    found = find(provider)
    parameters, unsent = chosen(config, asked=asked, provider=found)
    own_address = not base_url
    url = check_base_url(base_url) if base_url else found.base_url
    key = api_key or (key_of(found) if own_address else None)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInputError.of("api_key", "expected visible ASCII characters only, as a header can carry them")
    if key is None and found.needs_key and own_address:
        where = f"set {found.key_variable} on the server" if found.key_variable else "an admin can store one"
        raise InvalidInputError.of("api_key", f"there is no key for {found.label}: {where}{OR_SEND_IT}")
    return ModelCall(
        provider=found,
        model=model or found.default_model,
        prompt=prompt,
        base_url=url,
        vouched=own_address and found.vouched,
        api_key=key,
        parameters=parameters,
        unsent=unsent,
        timeout=settings.PROMPTOPS_PROVIDER_TIMEOUT,
        retries=settings.PROMPTOPS_PROVIDER_RETRIES,
    )


def _as_operator_has_it(provider: Provider) -> Provider:
    """Moved by PROMPTOPS_<NAME>_BASE_URL, if that is set."""
    moved = os.environ.get(f"PROMPTOPS_{provider.name.upper()}_BASE_URL", "").strip()  # it may end in a newline
    return replace(provider, base_url=moved or provider.base_url, vouched=True)


def _as_admin_has_it(provider: Provider | None, row: ModelProvider) -> Provider:
    """With what the row says. An address of the row's own gets the row's own key and never the environment's."""
    if provider is None:
        provider = Provider(name=row.name, label=row.name, base_url="", default_model="")
    if row.base_url and row.base_url != provider.base_url:
        provider = replace(provider, base_url=row.base_url, vouched=False, key_variable=None, offline=False)
    return replace(
        provider,
        label=row.label or provider.label,
        default_model=row.default_model or provider.default_model,
        stored_key=row.encrypted_key,
        unsupported=frozenset(row.unsupported),
    )
