"""What workflows keep: drafts, the versions that were published of them, their runs, and what starts runs."""

from workflows.models.run import (
    ACTIVE,
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
    "ACTIVE",
    "DEFINITION_FIELDS",
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
