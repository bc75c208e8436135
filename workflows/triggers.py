"""What schedules and webhooks have in common: runs that nobody starts by hand."""

from collections.abc import Mapping
from typing import Any, TypeVar

from governance import audit
from governance.actors import Actor
from governance.concurrency import check_if_match
from governance.errors import NotFoundError
from workflows import actors, runs
from workflows.execution import frozen
from workflows.models import Schedule, Trigger, Webhook, WorkflowRun

T = TypeVar("T", Schedule, Webhook)


def start(trigger: Schedule | Webhook, kind: Trigger, variables: Mapping[str, Any]) -> WorkflowRun:
    workflow = trigger.workflow
    return runs.start(
        actor=actors.remembered(trigger.bounds),
        workflow=workflow,
        **frozen(workflow, variables),
        trigger=kind,
        trigger_id=trigger.pk,
        bounds=trigger.bounds,
    )


def lock(model: type[T], row: T, if_match: str | None) -> T:
    locked = model.objects.select_for_update(no_key=True, of=("self",)).select_related("workflow").filter(pk=row.pk)
    found = locked.first()
    if found is None:
        raise NotFoundError
    check_if_match(if_match, found.etag)
    return found


def state_of(trigger: Schedule | Webhook) -> dict[str, Any]:
    state: dict[str, Any] = {"workflow": trigger.workflow.key, "name": trigger.name, "enabled": trigger.enabled}
    state["variables"] = trigger.variables
    if isinstance(trigger, Schedule):
        state |= {"cron": trigger.cron, "timezone": trigger.timezone}
    return state


def record(actor: Actor, trigger: Schedule | Webhook, action: str, verb: str, differences: audit.Changes) -> None:
    kind = "schedule" if isinstance(trigger, Schedule) else "webhook"
    audit.record(
        actor=actor,
        action=action,
        resource=kind,
        resource_id=trigger.pk,
        key=trigger.name,
        summary=f"{verb} {kind} {trigger.name} of workflow {trigger.workflow.key}",
        workspace_id=trigger.workflow.workspace_id,
        changes=differences,
    )
