"""The types of steps, one file each: `calls` call something else, `data` change data, `flow` decide where a run goes.

A new type is a new file and a line here.
"""

from workflows.steps.base import Context, Outcome, RunContext, StepType
from workflows.steps.calls import agent, http, model, prompt
from workflows.steps.data import extract, render, transform, validate
from workflows.steps.flow import approval, condition, map, wait, workflow  # noqa: A004  # the type's name

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
