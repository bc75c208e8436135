"""The documents that applications are served: the one module that decides what is in them.

A document is `{key, version, env, model, content, config}` of the live version; of the draft, for a prompt that was
never published, unless its environment requires publishing. In an environment's list and in frames a document under a
rollout carries the rollout, so that clients can assign units by themselves; a single fetch is answered one variant.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from django.db.models import QuerySet

from governance.changes.changelog import Document
from governance.tenancy.models import Environment
from prompts.content import stored
from prompts.content.digest import canonical
from prompts.models import Prompt, PromptVersion, Rollout
from prompts.rollouts import Variant, pick

#: The environment of requests that name none, by tokens that are bound to none.
DEFAULT_ENV = "prod"
SERVED_WITH = ("environment", "live", "rollout", "rollout__variant_a", "rollout__variant_b")


def encode(document: dict[str, Any]) -> str:
    """The document's text: the same on every process and database, so that its entity tag is too."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def etag_of(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def as_document(document: dict[str, Any] | None) -> Document | None:
    if document is None:
        return None
    text = encode(document)
    return Document(text, etag_of(text))


def of_version(prompt: Prompt, version: PromptVersion) -> dict[str, Any]:
    return _document(prompt, version.label, version)


def of_draft(prompt: Prompt) -> dict[str, Any]:
    return _document(prompt, prompt.version, prompt)


def base(prompt: Prompt) -> dict[str, Any] | None:
    """The document while no rollout is enabled; None when nothing is served."""
    if prompt.live is not None:
        return of_version(prompt, prompt.live)
    return None if prompt.environment.require_publish else of_draft(prompt)


def served(prompt: Prompt) -> dict[str, Any] | None:
    """The document of lists and frames, with the rollout if one is enabled; None when nothing is served."""
    document = base(prompt)
    rollout = rollout_of(prompt)
    if document is not None and rollout is not None:
        document["rollout"] = {
            "seed": rollout.seed,
            "weight_a": float(rollout.weight_a),
            "variants": {
                "A": of_version(prompt, rollout.variant_a),
                "B": of_version(prompt, rollout.variant_b),
            },
        }
    return document


def fetched(prompt: Prompt, unit: str | None) -> dict[str, Any] | None:
    """The document of a single fetch: under a rollout the variant of `unit`, named in `variant`."""
    rollout = rollout_of(prompt)
    if rollout is None:
        return base(prompt)
    variant: Variant = pick(seed=rollout.seed, weight_a=rollout.weight_a, unit=unit)
    version = rollout.variant_a if variant == "A" else rollout.variant_b
    return {**of_version(prompt, version), "variant": variant}


def rollout_of(prompt: Prompt) -> Rollout | None:
    """The prompt's rollout, if it has one that is enabled."""
    rollout: Rollout | None = getattr(prompt, "rollout", None)
    return rollout if rollout is not None and rollout.enabled else None


def find(*, environment: Environment, key: str, unit: str | None) -> dict[str, Any] | None:
    """The document that a fetch of `key` is answered with, for runs on the server; None when nothing is served."""
    prompt = Prompt.objects.filter(environment=environment, key=key).select_related(*SERVED_WITH).first()
    return fetched(prompt, unit) if prompt is not None else None


def prompts_of(environment: Environment) -> QuerySet[Prompt]:
    return Prompt.objects.filter(environment=environment).select_related(*SERVED_WITH).order_by()


def documents_of(environment: Environment) -> Iterator[dict[str, Any]]:
    """Every served document of an environment, in no order; one query."""
    for prompt in prompts_of(environment).iterator(chunk_size=500):
        document = served(prompt)
        if document is not None:
            yield document


def listing(texts: Iterable[str], *, revision: int, epoch: str, env: str, workspace: str) -> str:
    """The environment's document, of the documents' texts in the order of their keys."""
    tail = encode({"revision": revision, "epoch": epoch, "env": env, "workspace": workspace})
    return f'{{"data":[{",".join(texts)}],{tail[1:]}'


def listing_of(environment: Environment) -> str:
    """The environment's document, read from the database."""
    return listing(
        snapshot(environment),
        revision=environment.served_revision,
        epoch=environment.epoch,
        env=environment.name,
        workspace=environment.workspace_id,
    )


def listing_etag(epoch: str, served_revision: int) -> str:
    """The entity tag of the environment's document: another one after each change of what is served."""
    return f'"{epoch}.{served_revision}"'


def snapshot(environment: Environment) -> list[str]:
    """The texts of an environment's documents, for a client that can't be brought up to date change by change."""
    # Sorted here: databases differ in how they collate keys.
    return [encode(document) for document in sorted(documents_of(environment), key=itemgetter("key"))]


def _document(prompt: Prompt, version: str, state: Prompt | PromptVersion) -> dict[str, Any]:
    return {
        "key": prompt.key,
        "version": version,
        "env": prompt.environment.name,
        "model": state.model,
        **stored.of_row(state).document(),
        "config": canonical(state.config),
    }
