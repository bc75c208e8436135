"""Everything that writes workflows."""

from typing import Any

from django.db import transaction

from governance import audit
from governance.actors import Actor
from governance.concurrency import check_if_match
from governance.errors import ConflictError, NotFoundError
from governance.models import Workspace
from governance.models.base import changed
from workflows import definition
from workflows.models import Workflow


@transaction.atomic
def create_workflow(*, actor: Actor, workspace: Workspace, key: str, steps: object, **values: Any) -> Workflow:
    """A new workflow. Raises InvalidInputError for steps that could not run, ConflictError for a taken key."""
    workflow = Workflow(workspace=workspace, key=key, steps=definition.parse(steps), **values)
    _refuse_taken_key(workflow)
    workflow.digest_draft()
    workflow.save(force_insert=True)
    _record(actor, workflow, "create", "Created", audit.created(key=key, steps=workflow.steps, **values))
    return workflow


@transaction.atomic
def update_workflow(*, actor: Actor, workflow: Workflow, if_match: str | None = None, **values: Any) -> Workflow:
    """Change what is given. Raises InvalidInputError, ConflictError, or PreconditionError when `if_match` is stale."""
    workflow = _lock(workflow, if_match)
    old_key = workflow.key
    if "steps" in values:
        values["steps"] = definition.parse(values["steps"])
    differences = changed(workflow, values)
    if not differences:
        return workflow
    if workflow.key != old_key:
        _refuse_taken_key(workflow)
    workflow.digest_draft()
    workflow.save_fields(*differences, "draft_digest")
    _record(actor, workflow, "update", f"Changed {', '.join(differences)} of", differences)
    return workflow


@transaction.atomic
def delete_workflow(*, actor: Actor, workflow: Workflow, if_match: str | None = None) -> None:
    workflow = _lock(workflow, if_match)
    state = {name: getattr(workflow, name) for name in ("key", "name", "description", "steps")}
    _record(actor, workflow, "delete", "Deleted", audit.deleted(**state))
    workflow.delete()


def _lock(workflow: Workflow, if_match: str | None) -> Workflow:
    locked = Workflow.objects.select_for_update(no_key=True).filter(pk=workflow.pk).first()
    if locked is None:
        raise NotFoundError
    check_if_match(if_match, locked.etag)
    return locked


def _refuse_taken_key(workflow: Workflow) -> None:
    if Workflow.objects.filter(workspace_id=workflow.workspace_id, key=workflow.key).exclude(pk=workflow.pk).exists():
        raise ConflictError(f"there is a workflow {workflow.key} already", fields={"key": ["taken in this workspace"]})


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
