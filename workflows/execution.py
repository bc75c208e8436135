"""Runs a workflow's steps in order, and keeps the trace."""

from collections.abc import Mapping
from typing import Any

from governance import runs
from governance.actors import Actor
from governance.errors import DomainError
from prompts.rendering import as_text
from workflows.models import Workflow
from workflows.steps import STEP_TYPES, Context, Outcome


def run(
    *, actor: Actor, workflow: Workflow, variables: Mapping[str, Any], strict: bool = False, unit: str | None = None
) -> dict[str, Any]:
    """Run `workflow` once: `{"output", "steps", "run_id"}` with one entry a step.

    The first step's input is the variable `input`, else empty. Raises the failed step's DomainError with the trace so
    far and the run's id in its body.
    """
    opened = runs.start(
        actor=actor,
        source="workflow",
        workspace_id=workflow.workspace_id,
        ref_id=workflow.pk,
        ref_key=workflow.key,
    )
    trace: list[dict[str, Any]] = []
    text = as_text(variables.get("input", ""))
    try:
        for step in workflow.steps:
            context = Context(
                actor=actor,
                workspace_id=workflow.workspace_id,
                input=text,
                variables=variables,
                strict=strict,
                unit=unit,
            )
            entry = {"name": step["name"], "type": step["type"]}
            trace.append(entry)
            text = _run_step(step, context, entry).output
    except DomainError as error:
        runs.fail(opened, f"{trace[-1]['name']}: {error.message}", **_used(trace))
        error.extra.update(steps=trace, run_id=str(opened.id))
        raise
    except BaseException as error:
        runs.fail(opened, f"{trace[-1]['name']}: internal error: {type(error).__name__}", **_used(trace))
        raise
    runs.finish(opened, **_used(trace))
    return {"output": text, "steps": trace, "run_id": str(opened.id)}


def _run_step(step: Mapping[str, Any], context: Context, entry: dict[str, Any]) -> Outcome:
    try:
        outcome = STEP_TYPES[step["type"]].run(step, context)
    except DomainError as error:
        entry.update(output=None, error=error.message, **{name: step[name] for name in ("provider",) if name in step})
        raise
    entry.update(output=outcome.output, **outcome.trace)
    return outcome


def _used(trace: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model steps used, for the run log: tokens in all, and the last provider and model."""
    models = [entry for entry in trace if "provider" in entry]

    def total(name: str) -> int | None:
        counts = [entry[name] for entry in models if entry.get(name) is not None]
        return sum(counts) if counts else None

    return {
        "provider": models[-1]["provider"] if models else "",
        "model": models[-1].get("model", "") if models else "",
        "prompt_tokens": total("prompt_tokens"),
        "output_tokens": total("output_tokens"),
    }
