"""The types of steps, one file each. A new type is a new file and a line here."""

from workflows.steps import model, prompt, render, transform
from workflows.steps.base import Context, Outcome, StepType

STEP_TYPES: dict[str, StepType] = {
    step_type.name: step_type for step_type in (render.STEP, prompt.STEP, model.STEP, transform.STEP)
}

__all__ = ["STEP_TYPES", "Context", "Outcome", "StepType"]
