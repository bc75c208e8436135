"""What schedules and webhooks share: they start runs, and record why they could not."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from governance import audit
from governance.access.actors import Actor
from governance.api.concurrency import check_if_match
from governance.api.parsing import storable
from governance.core.db import AWAY
from governance.core.errors import DomainError, NotFoundError, UnauthorizedError
from workflows.engine import actors
from workflows.models import Schedule, Trigger, Webhook, WorkflowRun
from workflows.runs import control
from workflows.runs.execution import frozen

logger = logging.getLogger("promptops.workflows")
T = TypeVar("T", Schedule, Webhook)

MAX_ERROR = 1000


def start(trigger: Schedule | Webhook, kind: Trigger, variables: Mapping[str, Any]) -> WorkflowRun:
    workflow = trigger.workflow
    return control.start(
        actor=actors.remembered(trigger.bounds),
        workflow=workflow,
        **frozen(workflow, variables),
        trigger=kind,
        trigger_id=trigger.pk,
        bounds=trigger.bounds,
    )


@contextmanager
def recording_failures(trigger: Schedule | Webhook) -> Iterator[None]:
    """Store the error that keeps a run from being started in the trigger's `last_error`, and raise it on.

    Refused calls and an unreachable database are not stored: they are no faults of the trigger.
    """
    try:
        yield
    except (UnauthorizedError, *AWAY):
        raise
    except Exception as error:
        problem = error.message if isinstance(error, DomainError) else f"internal error ({type(error).__name__})"
        logger.warning("%s %s could not start its run: %s", type(trigger).__name__, trigger.pk, problem)
        rows: Any = type(trigger)._default_manager
        rows.filter(pk=trigger.pk).update(last_error=storable(problem)[:MAX_ERROR])
        raise


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
