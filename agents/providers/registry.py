"""The providers there are, and how a request becomes a call of one.

Apps register the built-in ones when they start (`built_in.py` has ours). An admin adds more, or a key and an address
for the built-in ones, as rows of ModelProvider.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from django.conf import settings
from django.db import transaction

from agents.models import ModelProvider
from agents.providers.built_in import OPENAI_COMPATIBLE
from agents.providers.parameters import choose
from agents.providers.protocol import ModelCall, Provider
from agents.transport.outbound import check_base_url
from governance.core import ciphertext, registry
from governance.core.errors import InvalidInputError

#: The end of the error that a key is missing, for who can send one along.
OR_SEND_IT = ", or send api_key"
_KEY = re.compile(r"[\x21-\x7e]+")


class ProviderSummary(TypedDict):
    """A provider as people are shown it."""

    name: str
    label: str
    default_model: str
    needs_key: bool
    configured: bool


def built_in(name: str) -> Provider | None:
    """The entry of that name as it is registered, without any setting; None when there is none."""
    return next((entry for entry in registry.entries(Provider) if entry.name == name), None)


def warm_up() -> None:
    """Load what the first call of any provider would have to load. Blocking; cheap from the second time on."""
    for client in {provider.client for provider in registry.entries(Provider)}:
        client.warm_up()


def providers() -> dict[str, Provider]:
    """All providers by name: the built-in ones as the operator and the admins set them up, then the admins' own."""
    found = {entry.name: _with_environment(entry) for entry in registry.entries(Provider)}
    for row in ModelProvider.objects.order_by("name"):
        found[row.name] = _with_row(found.get(row.name), row)
    return found


def find(name: str) -> Provider:
    """The provider of that name. Raises InvalidInputError, which lists those there are."""
    entry = built_in(name)
    if entry is not None and entry.is_offline:
        return entry  # nothing about it can be set up
    row = ModelProvider.objects.filter(name=name).first()
    if row is not None:
        return _with_row(_with_environment(entry) if entry else None, row)
    if entry is None:
        raise InvalidInputError.of("provider", f"unknown provider {name!r}; expected one of: {', '.join(providers())}")
    return _with_environment(entry)


def find_and_lock(name: str) -> Provider:
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


def describe() -> list[ProviderSummary]:
    """The providers as people are shown them, without keys."""
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
    requested: Collection[str] = (),
    api_key: str | None = None,
    base_url: str | None = None,
) -> ModelCall:
    """A call, ready to be made.

    Of `config`, the names in `requested` come from the request itself: those that can't be sent are refused, while
    those that a prompt or an agent has for other purposes are listed in the answer. The server's key goes to the
    provider's own address only: with a `base_url` from the request, the request's `api_key` is used or none. An empty
    `base_url` or `api_key` counts as none. Raises InvalidInputError for an unknown provider, a parameter that can't be
    sent, an address that is not allowed, and a key that is missing or that no header can carry.
    """
    found = find(provider)
    parameters, unsent = choose(config, requested=requested, provider=found)
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
        is_vouched=own_address and found.is_vouched,
        api_key=key,
        parameters=parameters,
        unsent=unsent,
        timeout=settings.PROMPTOPS_PROVIDER_TIMEOUT,
        retries=settings.PROMPTOPS_PROVIDER_RETRIES,
    )


def _with_environment(provider: Provider) -> Provider:
    """At the address that the environment gives it, if it does. Either way it is the operator's word."""
    moved = os.environ.get(provider.base_url_variable, "").strip()  # it may end in a newline
    return replace(provider, base_url=moved or provider.base_url, is_vouched=True)


def _with_row(provider: Provider | None, row: ModelProvider) -> Provider:
    """With what an admin set up. An address of the row's own gets the row's own key and never the environment's."""
    if provider is None:
        provider = Provider(name=row.name, label=row.name, client=OPENAI_COMPATIBLE, base_url="", default_model="")
    if row.base_url and row.base_url != provider.base_url:
        provider = replace(provider, base_url=row.base_url, is_vouched=False, key_variable=None)
    return replace(
        provider,
        label=row.label or provider.label,
        default_model=row.default_model or provider.default_model,
        stored_key=row.encrypted_key,
        unsupported=frozenset(row.unsupported),
    )
