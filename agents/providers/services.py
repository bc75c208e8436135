"""Everything that writes providers. A key goes in, and comes out only in calls of the provider itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from agents.models import Agent, ModelProvider
from agents.providers.registry import built_in
from agents.transport.outbound import check_url
from governance import audit
from governance.access.actors import Actor
from governance.api.concurrency import check_if_match
from governance.core import ciphertext, registry, stored_secrets
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError
from governance.core.models import changed

FIELDS = ("name", "label", "base_url", "default_model", "unsupported")

#: How many of a kind a refusal names in its sentence.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class ProviderUsers(registry.Entry):
    """What runs on providers: `keys` returns the keys of those on the provider of a name, `kind` is their plural."""

    kind: str
    keys: Callable[[str], list[str]]


@transaction.atomic
def create_provider(*, actor: Actor, name: str, api_key: str | None = None, **values: Any) -> ModelProvider:
    """A new provider, or the settings of a built-in one. Raises ConflictError for a taken name."""
    provider = ModelProvider(name=name, **values)
    _check(provider)
    _refuse_taken_name(provider)
    _set_key(provider, api_key)
    provider.save(force_insert=True)
    key = {"key": provider.key_hint} if provider.key_hint else {}
    _record(actor, provider, "create", "Created", audit.created(name=name, **values, **key))
    return provider


@transaction.atomic
def update_provider(
    *, actor: Actor, provider: ModelProvider, if_match: str | None = None, api_key: str | None = None, **values: Any
) -> ModelProvider:
    """Change the fields in `values`; `api_key` is a new key, or "" for none.

    A stored key belongs to the address that it was stored for. Raises InvalidInputError when the address changes and
    the key is not given again, ConflictError for a name that is taken or while something runs on the old name, and
    PreconditionError when `if_match` is stale.
    """
    provider = _lock(provider, if_match)
    if values.get("name", provider.name) != provider.name:
        _refuse_in_use(provider, "renamed")
    had_key, old_hint = bool(provider.encrypted_key), provider.key_hint
    differences = changed(provider, values)
    _check(provider)
    if "name" in differences:
        _refuse_taken_name(provider)
    if "base_url" in differences and had_key and api_key is None:
        raise InvalidInputError.of("api_key", "the address changes: give the key again, or an empty one for none")
    if api_key is not None:
        _set_key(provider, api_key)
        differences["key"] = {"old": old_hint or None, "new": provider.key_hint or None}
    if not differences:
        return provider
    provider.save_fields(*(name for name in differences if name != "key"), "encrypted_key", "key_hint")
    _record(actor, provider, "update", f"Changed {', '.join(differences)} of", differences)
    return provider


@transaction.atomic
def delete_provider(*, actor: Actor, provider: ModelProvider, if_match: str | None = None) -> None:
    """Delete it; a built-in one goes back to what it was. Raises ConflictError while something runs on it."""
    provider = _lock(provider, if_match)
    _refuse_in_use(provider, "deleted")
    _record(actor, provider, "delete", "Deleted", audit.deleted(**{name: getattr(provider, name) for name in FIELDS}))
    provider.delete()


def _refuse_taken_name(provider: ModelProvider) -> None:
    if ModelProvider.objects.filter(name=provider.name).exclude(pk=provider.pk).exists():
        raise ConflictError(f"there is a provider {provider.name} already", fields={"name": ["taken"]})


def _refuse_in_use(provider: ModelProvider, what: str) -> None:
    """Raises ConflictError while agents or workflows use the provider: without it their next run would fail.

    All of them are named, since only admins of the whole installation come here. A built-in one exists without a row.
    """
    if built_in(provider.name):
        return
    users = {one.kind: found for one in registry.entries(ProviderUsers) if (found := one.keys(provider.name))}
    if not users:
        return
    shown = [f"{kind} {', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}" for kind, keys in users.items()]
    raise ConflictError(
        f"{provider.name} can't be {what} while something runs on it: {'; '.join(shown)}. Have these use another "
        "provider first",
        extra={"holds": {kind: len(keys) for kind, keys in users.items()}, "users": users},
    )


def agents_on(name: str) -> list[str]:
    """The keys of the agents that run on the provider of that name."""
    return list(Agent.objects.filter(provider=name).order_by("key").values_list("key", flat=True))


def _lock(provider: ModelProvider, if_match: str | None) -> ModelProvider:
    locked = ModelProvider.objects.select_for_update().filter(pk=provider.pk).first()
    if locked is None:
        raise NotFoundError
    check_if_match(if_match, locked.etag)
    return locked


def _check(provider: ModelProvider) -> None:
    entry = built_in(provider.name)
    if entry is not None and entry.is_offline:
        raise InvalidInputError.of("name", f"the {provider.name} has nothing to be set up")
    if provider.base_url:
        check_url(provider.base_url)
    elif entry is None:
        raise InvalidInputError.of("base_url", "expected where it is, such as https://host/v1")
    if not provider.default_model and entry is None:
        raise InvalidInputError.of("default_model", "expected the model that is used when none is asked for")


def _set_key(provider: ModelProvider, api_key: str | None) -> None:
    """Store the key with a hint by which people tell keys apart."""
    provider.encrypted_key = ciphertext.encrypt(api_key) if api_key else ""
    provider.key_hint = stored_secrets.hint_of(api_key) if api_key else ""


def _record(actor: Actor, provider: ModelProvider, action: str, verb: str, differences: audit.Changes) -> None:
    audit.record(
        actor=actor,
        action=action,
        resource="provider",
        resource_id=provider.pk,
        key=provider.name,
        summary=f"{verb} provider {provider.name}",
        workspace_id=None,
        changes=differences,
    )
