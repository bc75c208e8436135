"""Everything that writes prompts. Each is one transaction with its audit entry and its change."""

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from django.db import transaction

from governance import audit
from governance.access.actors import Actor
from governance.api import written
from governance.api.concurrency import check_if_match
from governance.changes import changelog, publishing
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError
from governance.core.models import changed
from governance.tenancy.models import Environment
from prompts import documents, searching, writing
from prompts.models import SERVED_COLUMNS, Prompt, PromptTag, PromptVersion, Rollout

COPIED_FIELDS = ("name", "category", *SERVED_COLUMNS, "version")


class DraftValues(TypedDict, total=False):
    """Columns of a draft. `version` is the label to publish it under."""

    name: str
    category: str
    content: str
    model: str
    config: dict[str, Any]
    version: str


class NewValues(DraftValues, total=False):
    """Columns of a new prompt. Its id is made at random unless one is given."""

    id: uuid.UUID


class ChangedValues(DraftValues, total=False):
    """Columns of a prompt that can be changed."""

    key: str


@transaction.atomic
def create_prompt(
    *,
    actor: Actor,
    environment: Environment,
    key: str,
    tags: list[str] | None = None,
    origin: Prompt | None = None,
    **values: Unpack[NewValues],
) -> Prompt:
    """A new prompt with a draft. `values` are columns of it; `origin` is the prompt that it is a copy of, if it is one.

    Raises ConflictError when the environment has a prompt with that key.
    """
    publishing.refuse_reserved(values.get("version", ""))
    environment = changelog.lock_environment(environment.pk)
    _refuse_taken_key(environment, key)
    prompt = Prompt(environment=environment, key=key, changed_by=actor.name, **values)
    prompt.derive()
    prompt.save(force_insert=True)
    _set_tags(prompt, tags or [])
    searching.update(prompt)
    created = audit.created(key=key, env=environment.name, **values, **({"tags": tags} if tags else {}))
    writing.record(actor, prompt, "create", f"Created prompt {key}{_copied(origin, created)}", created)
    writing.announce(prompt, writing.CREATED)
    return prompt


@transaction.atomic
def update_prompt(
    *,
    actor: Actor,
    prompt: Prompt,
    if_match: str | None = None,
    tags: list[str] | None = None,
    environment: Environment | None = None,
    origin: Prompt | None = None,
    **values: Unpack[ChangedValues],
) -> Prompt:
    """Save the draft. What is served changes only while the prompt was never published.

    A new key or environment moves the prompt with its history; applications get 404 for the old one. `origin` is the
    prompt whose draft it takes over, if there is one.
    Raises ConflictError when the new key is taken, PreconditionError when `if_match` is stale.
    """
    prompt = writing.lock(prompt, if_match)
    before, old_environment, old_key = writing.served(prompt), prompt.environment, prompt.key
    differences = changed(prompt, dict(values))
    if "version" in differences:
        publishing.refuse_reserved(prompt.version)
    if environment is not None and environment != prompt.environment:
        differences["env"] = {"old": prompt.environment.name, "new": environment.name}
        prompt.environment = environment
    if tags is not None and tags != (old_tags := prompt.tag_names):
        differences["tags"] = {"old": old_tags, "new": tags}
        _set_tags(prompt, tags)
    if not differences:
        written.note(prompt.environment.revision)
        return prompt
    moved = (old_environment, old_key) != (prompt.environment, prompt.key)
    if moved:
        _announce_move(prompt, old_environment, old_key)
    prompt.save_fields(*(set(differences) - {"env", "tags"}), "environment", *_versioning.derive(prompt, actor))
    writing.update_search(prompt, differences)
    summary = f"Changed {', '.join(differences)} of prompt {prompt.key}{_copied(origin, differences)}"
    writing.record(actor, prompt, "update", summary, differences)
    writing.announce_draft(prompt, before=None if moved else before)
    return prompt


@transaction.atomic
def copy_prompt(
    *, actor: Actor, prompt: Prompt, environment: Environment, key: str | None = None, replace: bool = False
) -> tuple[Prompt, bool]:
    """Copy the draft into an environment of the same workspace; returns the copy, and whether it is a new prompt.

    Versions are not copied: the copy is published by itself. With `replace`, a prompt that has the key there already
    gets the draft instead. Raises ConflictError when one is there and `replace` is not set.
    """
    source = writing.with_relations(prompt)
    values = {name: getattr(source, name) for name in COPIED_FIELDS}
    if source.version in publishing.RESERVED_LABELS:
        del values["version"]
    there = Prompt.objects.filter(environment=environment, key=key or source.key).exclude(pk=source.pk).first()
    if there is not None and replace:
        tags = source.tag_names
        return update_prompt(actor=actor, prompt=there, tags=tags, origin=source, **values), False
    made = create_prompt(
        actor=actor, environment=environment, key=key or source.key, tags=source.tag_names, origin=source, **values
    )
    return made, True


@transaction.atomic
def delete_prompt(*, actor: Actor, prompt: Prompt, if_match: str | None = None) -> None:
    """Delete a prompt with its versions and its rollout."""
    prompt = writing.lock(prompt, if_match)
    state = {name: getattr(prompt, name) for name in ("key", "name", *SERVED_COLUMNS)}
    writing.record(actor, prompt, "delete", f"Deleted prompt {prompt.key}", audit.deleted(**state))
    writing.append_change(prompt, writing.DELETED, document=None, served=True)
    prompt.delete()


def publish(
    *, actor: Actor, prompt: Prompt, version: str | None = None, note: str = "", if_match: str | None = None
) -> PromptVersion:
    """Keep the draft as an immutable version and make that live; returns it (governance.changes.publishing)."""
    return _versioning.publish(actor=actor, draft=prompt, version=version, note=note, if_match=if_match)


def create_version(
    *, actor: Actor, prompt: Prompt, version: str | None = None, note: str = "", if_match: str | None = None
) -> tuple[PromptVersion, bool]:
    """Keep the draft as a version, and leave live what is live; returns the version, and whether it is a new one."""
    return _versioning.create_version(actor=actor, draft=prompt, version=version, note=note, if_match=if_match)


def rollback(*, actor: Actor, prompt: Prompt, version: str, if_match: str | None = None) -> Prompt:
    """Make an earlier version live again, and the draft equal to it. No version is removed."""
    return _versioning.rollback(actor=actor, draft=prompt, version=version, if_match=if_match)


class _PromptVersioning(publishing.Versioning[Prompt, PromptVersion]):
    columns = SERVED_COLUMNS

    def lock(self, draft: Prompt, if_match: str | None) -> Prompt:
        return writing.lock(draft, if_match)

    def derive(self, draft: Prompt, actor: Actor) -> Sequence[str]:
        draft.changed_by = actor.name
        return ("changed_by", *draft.derive())

    def unchanged(self, draft: Prompt) -> None:
        written.note(draft.environment.revision)

    def announce(
        self,
        actor: Actor,
        draft: Prompt,
        action: publishing.Action,
        version: PromptVersion,
        differences: audit.Changes,
    ) -> None:
        summaries = {
            "publish": f"Published {draft.key} {version.label}",
            "snapshot": f"Made version {version.label} of {draft.key}",
            "rollback": f"Rolled {draft.key} back to {version.label}",
        }
        writing.update_search(draft, differences)
        writing.record(actor, draft, action, summaries[action], differences)
        if action != "snapshot":
            writing.announce(draft, writing.PUBLISHED if action == "publish" else writing.ROLLED_BACK)


_versioning = _PromptVersioning()


@transaction.atomic
def set_rollout(*, actor: Actor, prompt: Prompt, values: Mapping[str, Any], if_match: str | None = None) -> Rollout:
    """Make or change the prompt's rollout: `enabled`, `variant_a`, `variant_b` (labels), `weight_a` (percent).

    The seed stays as long as the rollout does, so that moving the weight keeps units where they are. Raises
    InvalidInputError for a variant that is no published version of this prompt, and for what a new one lacks,
    PreconditionError when `if_match` is not the rollout's tag.
    """
    prompt = writing.lock(prompt)
    rollout: Rollout | None = getattr(prompt, "rollout", None)
    check_if_match(if_match, rollout_tag(rollout))
    wanted = {name: values[name] for name in ("enabled", "weight_a") if name in values}
    wanted |= {name: _variant(prompt, name, values[name]) for name in ("variant_a", "variant_b") if name in values}
    if rollout is None:
        lacking = [name for name in ("variant_a", "variant_b", "weight_a") if name not in wanted]
        if lacking:
            raise InvalidInputError(f"{lacking[0]}: required", fields={name: ["required"] for name in lacking})
        rollout = Rollout(prompt=prompt, **wanted)
        _refuse_equal_variants(rollout)
        rollout.save(force_insert=True)
        differences = audit.created(**{name: _plain(value) for name, value in wanted.items()})
    else:
        differences = {
            name: {"old": _plain(change["old"]), "new": _plain(change["new"])}
            for name, change in changed(rollout, wanted).items()
        }
        if not differences:
            written.note(prompt.environment.revision)
            return rollout
        _refuse_equal_variants(rollout)
        rollout.save_fields(*differences)
    prompt.rollout = rollout
    writing.record(actor, prompt, "update", f"Rollout of {prompt.key}: {rollout}", differences, resource="rollout")
    writing.announce(prompt, writing.ROLLOUT_UPDATED)
    return rollout


def rollout_tag(rollout: Rollout | None) -> str:
    """The entity tag of a rollout, also of the one that is not there yet."""
    return rollout.etag if rollout else '"none"'


@transaction.atomic
def delete_rollout(*, actor: Actor, prompt: Prompt) -> None:
    """End the rollout: the live version is served to everybody. Raises NotFoundError when there is none."""
    prompt = writing.lock(prompt)
    rollout: Rollout | None = getattr(prompt, "rollout", None)
    if rollout is None:
        raise NotFoundError
    differences = _deleted(rollout)
    rollout.delete()
    prompt = writing.with_relations(prompt)
    writing.record(actor, prompt, "delete", f"Ended the rollout of {prompt.key}", differences, resource="rollout")
    writing.announce(prompt, writing.ROLLOUT_DELETED)


@transaction.atomic
def finish_rollout(*, actor: Actor, prompt: Prompt, winner: str, if_match: str | None = None) -> Prompt:
    """End the rollout with variant `winner` ("A" or "B") live. The draft follows, unless it was never published.

    Raises NotFoundError when there is none, PreconditionError when `if_match` is not the rollout's tag.
    """
    prompt = writing.lock(prompt)
    rollout: Rollout | None = getattr(prompt, "rollout", None)
    if rollout is None:
        raise NotFoundError
    check_if_match(if_match, rollout_tag(rollout))
    live = prompt.live
    target = rollout.variant_a if winner == "A" else rollout.variant_b
    differences = _deleted(rollout)
    rollout.delete()
    prompt = writing.with_relations(prompt)
    if prompt.versions.filter(digest=prompt.draft_digest).exists():
        differences |= changed(prompt, {name: getattr(target, name) for name in SERVED_COLUMNS})
        prompt.version = target.label
    prompt.live = target
    prompt.save_fields("live", "version", *SERVED_COLUMNS, *_versioning.derive(prompt, actor))
    writing.update_search(prompt, differences)
    differences["live_version"] = {"old": live.label if live else None, "new": target.label}
    summary = f"Finished the rollout of {prompt.key}: {target.label}"
    writing.record(actor, prompt, "delete", summary, differences, resource="rollout")
    writing.announce(prompt, writing.ROLLOUT_DELETED)
    return prompt


def announce_policy(environment: Environment) -> None:
    """`require_publish` of the environment changed: prompts that were never published are served now, or no longer.

    Runs in the transaction of that change.
    """
    for prompt in documents.prompts_of(environment).filter(live=None):
        prompt.environment = environment
        writing.append_change(prompt, writing.UPDATED, document=writing.served(prompt), served=True)


# --- what they share --------------------------------------------------------------------------------------------


def _announce_move(prompt: Prompt, environment: Environment, key: str) -> None:
    """Publish that the prompt is gone from its old environment and key.

    Both environments are locked, in one order, so that two moves in opposite directions don't wait for each other.
    """
    for pk in sorted({environment.pk, prompt.environment.pk}):
        changelog.lock_environment(pk)
    _refuse_taken_key(prompt.environment, prompt.key)
    changelog.publish(
        environment_id=environment.pk,
        type=writing.DELETED,
        resource_id=prompt.pk,
        key=key,
        version=prompt.version,
        document=None,
        served=True,
    )


def _refuse_taken_key(environment: Environment, key: str) -> None:
    if Prompt.objects.filter(environment=environment, key=key).exists():
        raise ConflictError(
            f"there is a prompt {key} in {environment.name} already", fields={"key": ["taken in this environment"]}
        )


def _set_tags(prompt: Prompt, names: list[str]) -> None:
    prompt.tags.all().delete()
    PromptTag.objects.bulk_create(PromptTag.of(prompt, name) for name in names)


def _variant(prompt: Prompt, field: str, label: str) -> PromptVersion:
    found = prompt.versions.filter(label=label).first()
    if found is None:
        raise InvalidInputError.of(field, f"{label!r} is no published version of this prompt")
    return found


def _deleted(rollout: Rollout) -> dict[str, dict[str, Any]]:
    return audit.deleted(
        variant_a=rollout.variant_a.label, variant_b=rollout.variant_b.label, weight_a=_plain(rollout.weight_a)
    )


def _copied(origin: Prompt | None, differences: dict[str, dict[str, Any]]) -> str:
    """Note in `differences` what was copied; returns the words for the summary of the audit entry."""
    if origin is None:
        return ""
    differences["copied_from"] = {"old": None, "new": f"{origin.environment.name}/{origin.key}"}
    return f" from {origin.environment.name}/{origin.key}"


def _refuse_equal_variants(rollout: Rollout) -> None:
    if rollout.variant_a_id == rollout.variant_b_id:
        raise InvalidInputError.of("variant_b", "expected another version than variant_a")


def _plain(value: Any) -> Any:
    if isinstance(value, PromptVersion):
        return value.label
    return float(value) if isinstance(value, Decimal) else value
