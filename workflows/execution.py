"""Runs a workflow while somebody waits for it, and keeps the trace."""

from collections.abc import Mapping
from typing import Any

from agents.providers import bridge
from governance import runs
from governance.actors import Actor
from governance.errors import ConflictError
from workflows import definition, versions
from workflows.interpreter import Result, Used, interpret
from workflows.journal import MemoryJournal, Parked
from workflows.models import Workflow
from workflows.steps import RunContext


def run(
    *,
    actor: Actor,
    workflow: Workflow,
    variables: Mapping[str, Any],
    strict: bool = False,
    unit: str | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Run `workflow` once: `{"output", "steps", "run_id"}` with one entry a step, and `outputs` if it declares some.

    `version` is `draft`, `live` or a label; by default the live version, else the draft. The first step's input is the
    variable `input`, else empty. Raises the failed step's DomainError with the trace so far and the run's id in its
    body.
    """
    label, stored = versions.choose(workflow, version)
    loaded = definition.load(stored)
    settled = definition.settle(loaded.inputs, variables)
    opened = runs.start(
        actor=actor,
        source="workflow",
        workspace_id=workflow.workspace_id,
        ref_id=workflow.pk,
        ref_key=workflow.key,
        version=label,
    )
    context = RunContext(
        actor=actor,
        workspace_id=workflow.workspace_id,
        run_id=opened.id,
        workflow_id=workflow.pk,
        workflow_key=workflow.key,
        variables=settled,
        strict=strict,
        unit=unit,
    )
    try:
        result = bridge.run(interpret, loaded, context, MemoryJournal())
    except Parked as parked:
        name = parked.trace[-1]["name"]
        runs.fail(opened, f"{name}: it waits, and nobody waits for it")
        raise ConflictError(
            f"{name}: a run that waits for {_WAITS[parked.reason]} can't be answered at once",
            extra={"steps": parked.trace, "run_id": str(opened.id)},
        ) from None
    except BaseException as error:
        runs.fail(opened, f"internal error: {type(error).__name__}")
        raise
    return _answer(opened, result)


_WAITS = {"approval": "an approval", "wait": "more than some seconds"}


def _answer(opened: runs.OpenRun, result: Result) -> dict[str, Any]:
    if result.error is not None:
        error = result.error
        runs.fail(opened, f"{result.trace[-1]['name']}: {error.message}", **_known(result.used))
        error.extra.update(steps=result.trace, run_id=str(opened.id))
        raise error
    runs.finish(opened, **_known(result.used))
    outputs = {} if result.outputs is None else {"outputs": result.outputs}
    return {"output": result.output, **outputs, "steps": result.trace, "run_id": str(opened.id)}


def _known(used: Used) -> dict[str, Any]:
    """What the models of the run used, for the run log: tokens and cost in all, and the last provider and model."""
    return {
        "provider": used.provider,
        "model": used.model,
        "prompt_tokens": used.prompt_tokens if used.calls else None,
        "output_tokens": used.output_tokens if used.calls else None,
        "cost_usd": used.cost_usd,
    }
