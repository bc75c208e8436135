"""The home page's panel of workflows."""

from typing import Any

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from workflows.models import RunState, StepAttempt, WorkflowRun
from workflows.models.run import AttemptState

SHOWN = 6


def waiting_for_approval(actor: Actor) -> dict[str, Any]:
    """Runs that wait for an approval, the longest wait first. One query."""
    undecided = StepAttempt.objects.filter(
        type="approval", status=AttemptState.WAITING, decision__isnull=True, superseded=False
    )
    runs = WorkflowRun.objects.filter(status=RunState.WAITING, pk__in=undecided.values("run_id"))
    runs = runs.only("key", "waits_for", "actor", "changed_at", "workspace_id").order_by("changed_at", "id")
    return {"runs": visible_to(actor, runs)[:SHOWN]}
