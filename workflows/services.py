"""Everything that writes workflows. Each is one transaction with its audit entry."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from agents.providers import registry
from governance import audit
from governance.access.actors import Actor
from governance.audit import bounded
from governance.changes import publishing
from governance.core.errors import ConflictError, InvalidInputError
from governance.core.models import changed
from governance.tenancy.models import Workspace
from workflows.definition import parsing
from workflows.language.structure import Definition
from workflows.models import DEFINITION_FIELDS, Workflow, WorkflowVersion


@transaction.atomic
def create_workflow(*, actor: Actor, workspace: Workspace, key: str, steps: object, **values: Any) -> Workflow:
    """A new workflow with a draft. Raises InvalidInputError for a definition that could not run, ConflictError for a
    taken key."""
    definition = {"steps": steps, **{name: values.pop(name) for name in DEFINITION_FIELDS if name in values}}
    parsed = parsing.parse(definition)
    publishing.refuse_reserved(values.get("version", ""))
    workflow = Workflow(workspace=workspace, key=key, **values, **parsed.as_json())
    _refuse_taken_key(workflow)
    _refuse_circles(workflow, parsed)
    workflow.digest_draft()
    workflow.save(force_insert=True)
    _record(actor, workflow, "create", "Created", audit.created(key=key, **_for_audit(workflow), **values))
    return workflow


@transaction.atomic
def update_workflow(*, actor: Actor, workflow: Workflow, if_match: str | None = None, **values: Any) -> Workflow:
    """Save the draft. Runs use it only as long as the workflow was never published.

    Raises InvalidInputError, ConflictError, or PreconditionError when `if_match` is stale.
    """
    workflow = _lock(workflow, if_match)
    old_key, old = workflow.key, workflow.definition
    parsed: Definition | None = None
    if not values.keys().isdisjoint(DEFINITION_FIELDS):
        sent = {name: values[name] for name in DEFINITION_FIELDS if name in values}
        # Parts that were not sent are taken as they are shown, so that masks in them keep their secrets.
        parsed = parsing.parse({**parsing.shown(old), **sent}, secrets=parsing.secrets_in(old))
        values.update(parsed.as_json())
    differences = changed(workflow, values)
    if not differences:
        return workflow
    if "version" in differences:
        publishing.refuse_reserved(workflow.version)
    if workflow.key != old_key:
        _refuse_taken_key(workflow)
    _refuse_circles(workflow, parsed or parsing.load(workflow.definition))
    workflow.digest_draft()
    workflow.save_fields(*differences, "draft_digest")
    _record(actor, workflow, "update", f"Changed {', '.join(differences)} of", _without_secrets(differences))
    return workflow


@transaction.atomic
def import_workflow(*, actor: Actor, workspace: Workspace, key: str, **values: Any) -> tuple[Workflow, bool]:
    """The workflow of that key as a document says, and whether it is new. What a definition leaves out is empty."""
    found = Workflow.objects.filter(workspace=workspace, key=key).first()
    if found is None:
        return create_workflow(actor=actor, workspace=workspace, key=key, **values), True
    return update_workflow(actor=actor, workflow=found, **{"inputs": {}, "outputs": {}, **values}), False


@transaction.atomic
def delete_workflow(*, actor: Actor, workflow: Workflow, if_match: str | None = None) -> None:
    """Delete a workflow with its versions."""
    workflow = _lock(workflow, if_match)
    state = {name: getattr(workflow, name) for name in ("key", "name", "description")}
    _record(actor, workflow, "delete", "Deleted", audit.deleted(**state, **_for_audit(workflow)))
    workflow.delete()


def publish(
    *, actor: Actor, workflow: Workflow, version: str | None = None, note: str = "", if_match: str | None = None
) -> WorkflowVersion:
    """Keep the draft as an immutable version and make that live; returns it (governance.changes.publishing)."""
    return _versioning.publish(actor=actor, draft=workflow, version=version, note=note, if_match=if_match)


def rollback(*, actor: Actor, workflow: Workflow, version: str, if_match: str | None = None) -> Workflow:
    """Make an earlier version live again, and the draft equal to it. No version is removed.

    Raises NotFoundError when the workflow has no such version, ConflictError when a provider that it uses is gone.
    """
    return _versioning.rollback(actor=actor, draft=workflow, version=version, if_match=if_match)


class _WorkflowVersioning(publishing.Versioning[Workflow, WorkflowVersion]):
    columns = DEFINITION_FIELDS

    def lock(self, draft: Workflow, if_match: str | None) -> Workflow:
        return _lock(draft, if_match)

    def derive(self, draft: Workflow, actor: Actor) -> Sequence[str]:
        draft.digest_draft()
        return ("draft_digest",)

    def check_rollback(self, version: WorkflowVersion) -> None:
        _refuse_lost_providers(version)

    def announce(
        self,
        actor: Actor,
        draft: Workflow,
        action: publishing.Action,
        version: WorkflowVersion,
        differences: audit.Changes,
    ) -> None:
        verb = f"Rolled back to {version.label}:" if action == "rollback" else f"Published {version.label} of"
        _record(actor, draft, action, verb, _without_secrets(differences))


_versioning = _WorkflowVersioning()


def record_export(*, actor: Actor, workflow: Workflow) -> None:
    """Record that somebody took a copy of the workflow: one entry for many exports in a row."""
    bounded.record(
        actor=actor,
        action="export",
        what=f"workflow {workflow.pk}",
        resource="workflow",
        resource_id=workflow.pk,
        key=workflow.key,
        summary=f"Exported workflow {workflow.key}",
        workspace_id=workflow.workspace_id,
    )


# --- shared -----------------------------------------------------------------------------------------------------


def _lock(workflow: Workflow, if_match: str | None) -> Workflow:
    return publishing.lock_draft(Workflow.objects.select_related("live"), workflow, if_match)


def _refuse_taken_key(workflow: Workflow) -> None:
    if Workflow.objects.filter(workspace_id=workflow.workspace_id, key=workflow.key).exclude(pk=workflow.pk).exists():
        raise ConflictError(f"there is a workflow {workflow.key} already", fields={"key": ["taken in this workspace"]})


def _refuse_circles(workflow: Workflow, parsed: Definition) -> None:
    """Refuse a workflow that would run itself, by way of others as they are now. What can't be seen here, since those
    others change later, ends when it runs: sub-workflows go so deep and no deeper."""
    waiting, seen = parsing.called(parsed), set[str]()
    if not waiting:
        return
    there = {
        other.key: other
        for other in Workflow.objects.filter(workspace_id=workflow.workspace_id).select_related("live")
        if other.pk != workflow.pk
    }
    while waiting:
        key = waiting.pop()
        if key == workflow.key:
            raise InvalidInputError.of("steps", f"the workflow {key} would run itself")
        if key in seen or key not in there:
            continue
        seen.add(key)
        _, stored = there[key].served
        waiting |= parsing.called(parsing.load(stored))


def _refuse_lost_providers(version: WorkflowVersion) -> None:
    """Refuse a version whose provider was deleted, which is allowed while only versions that are not live use it."""
    lost = sorted(parsing.providers(parsing.load(version.definition)) - registry.providers().keys())
    if lost:
        raise ConflictError(f"{version.label} runs on {', '.join(lost)}, and there is no such provider any more")


def _for_audit(workflow: Workflow) -> dict[str, Any]:
    """The parts of the definition that are not empty, without secrets."""
    return {name: value for name, value in parsing.shown(workflow.definition).items() if value}


def _without_secrets(differences: Mapping[str, Any]) -> dict[str, Any]:
    if "steps" not in differences:
        return dict(differences)
    steps = {when: parsing.shown({"steps": differences["steps"][when]})["steps"] for when in ("old", "new")}
    return {**differences, "steps": steps}


def _record(actor: Actor, workflow: Workflow, action: str, verb: str, differences: audit.Changes) -> None:
    audit.record(
        actor=actor,
        action=action,
        resource="workflow",
        resource_id=workflow.pk,
        key=workflow.key,
        summary=f"{verb} workflow {workflow.key}",
        workspace_id=workflow.workspace_id,
        changes=differences,
    )
