"""The types of steps, one file each. A new type is a new file and a line here."""

from workflows.steps import (
    agent,
    approval,
    condition,
    extract,
    http,
    map,  # noqa: A004  # the type's name
    model,
    prompt,
    render,
    transform,
    validate,
    wait,
    workflow,
)
from workflows.steps.base import Context, Outcome, RunContext, StepType

STEP_TYPES: dict[str, StepType] = {
    step_type.name: step_type
    for step_type in (
        render.STEP,
        prompt.STEP,
        model.STEP,
        agent.STEP,
        transform.STEP,
        extract.STEP,
        validate.STEP,
        condition.STEP,
        map.STEP,
        http.STEP,
        workflow.STEP,
        approval.STEP,
        wait.STEP,
    )
}

__all__ = ["STEP_TYPES", "Context", "Outcome", "RunContext", "StepType"]
