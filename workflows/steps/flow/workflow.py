"""Run another workflow of the same workspace: its live version, else its draft."""

import uuid
from dataclasses import replace
from typing import Any

from agents.runtime.toolbox import MAX_DEPTH
from governance.api.fields import KeyField
from workflows.language.structure import Step
from workflows.models import Workflow
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType, on_database
from workflows.steps.fields.references import ValuesField


class WorkflowStep(StepSerializer):
    workflow_key = KeyField(style={"suggest": "workflows"}, help_text="The key of a workflow in the same workspace.")
    variables = ValuesField(required=False, help_text="What it is given, beside the step's input as its `input`.")


async def run(step: Step, context: Context) -> Outcome:
    if context.run.depth + 1 >= MAX_DEPTH:
        raise StepFailedError(f"agents and workflows call each other {MAX_DEPTH} deep at most")
    found = await on_database(_served, context.run.workspace_id, step["workflow_key"])
    memo = await context.engine.memoize(found)  # in a later segment the same, whatever was published meanwhile
    if memo is None:
        raise StepFailedError(f"there is no workflow {step['workflow_key']}")
    if not memo["definition"]["steps"]:
        raise StepFailedError(f"the workflow {step['workflow_key']} has no steps yet: there is nothing to run")
    variables, missing = context.fill(step.fields.get("variables", {}))
    below = replace(
        context.run,
        workflow_id=uuid.UUID(memo["id"]),
        workflow_key=step["workflow_key"],
        variables={"input": context.input, **variables},
        depth=context.run.depth + 1,
    )
    made = await context.engine.below(memo["definition"], below)
    trace = {"workflow_key": step["workflow_key"], "version": memo["version"], "missing": missing}
    return Outcome(output=made.output, trace={**trace, **made.trace})


def _served(workspace_id: str, key: str) -> dict[str, Any] | None:
    """The definition that a run of that workflow uses, as JSON; None if there is no such workflow."""
    workflow = Workflow.objects.select_related("live").filter(workspace_id=workspace_id, key=key).first()
    if workflow is None:
        return None
    version, definition = workflow.served
    return {"id": str(workflow.pk), "version": version, "definition": definition}


STEP = StepType(
    name="workflow",
    summary="Run another workflow of the same workspace.",
    fields=WorkflowStep,
    run=run,
    trace_fields=("workflow_key", "version", "missing", "prompt_tokens", "output_tokens", "cost_usd"),
    holds_steps=True,
)
