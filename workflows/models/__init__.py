"""What workflows keep: drafts, the versions that were published of them, their runs, and what starts runs."""

from workflows.models.run import (
    GOING,
    AttemptState,
    RunState,
    StepAttempt,
    Trigger,
    WorkflowRun,
    WorkflowWorker,
)
from workflows.models.trigger import Delivery, Schedule, Webhook
from workflows.models.workflow import DEFINITION_FIELDS, Workflow, WorkflowVersion, digest_of

__all__ = [
    "DEFINITION_FIELDS",
    "GOING",
    "AttemptState",
    "Delivery",
    "RunState",
    "Schedule",
    "StepAttempt",
    "Trigger",
    "Webhook",
    "Workflow",
    "WorkflowRun",
    "WorkflowVersion",
    "WorkflowWorker",
    "digest_of",
]
