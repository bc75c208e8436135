"""A workflow as a tool of an agent: its inputs are the arguments, what it makes is the answer."""

from collections.abc import Mapping
from typing import Any

from agents.runtime.toolbox import (
    MAX_DEPTH,
    Caller,
    Description,
    Returned,
    Tool,
    ToolFailedError,
    ToolKind,
    ToolSerializer,
)
from agents.runtime.toolbox import name_of as tool_name
from agents.transport import bridge
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.fields import KeyField
from governance.core.db import briefly
from governance.core.errors import ConflictError, DomainError
from governance.runs import log
from governance.runs.log import OpenRun
from prompts.content.rendering import as_text
from workflows.definition import parsing
from workflows.engine.interpreter import interpret
from workflows.engine.usage import RunUsage
from workflows.models import Workflow
from workflows.steps import RunContext
from workflows.steps.journal import MemoryJournal, Parked


class WorkflowTool(ToolSerializer):
    key = KeyField(
        style={"suggest": "workflows"},
        help_text="A workflow of the same workspace; its live version is run, else its draft.",
    )


def find(description: Description, actor: Actor, workspace_id: str, environment: str) -> Tool:
    rows = Workflow.objects.select_related("live").filter(workspace_id=workspace_id, key=description["key"])
    workflow = visible_to(actor, rows).first()
    if workflow is None:
        raise ConflictError(f"there is no workflow {description['key']}, which this agent has as a tool")
    version, stored = workflow.served
    loaded = parsing.load(stored)

    async def run(arguments: Mapping[str, Any], caller: Caller) -> Returned:
        if caller.depth >= MAX_DEPTH:
            raise ToolFailedError(f"agents and workflows call each other {MAX_DEPTH} deep at most")
        if not loaded.steps:
            raise ToolFailedError("this workflow has no steps yet: there is nothing to run")
        variables = parsing.settle(loaded.inputs, arguments)
        opened = await bridge.on_caller(briefly, _open, workflow, version, caller)
        context = RunContext(
            actor=caller.actor,
            workspace_id=workspace_id,
            run_id=opened.id,
            workflow_id=workflow.pk,
            workflow_key=workflow.key,
            variables=variables,
            unit=caller.unit,
            depth=caller.depth,
        )
        try:
            result = await interpret(loaded, context, MemoryJournal())
        except Parked as parked:
            error = ToolFailedError(
                f"{parked.path}: a workflow that waits is no tool", extra={"run_id": str(opened.id)}
            )
            await bridge.on_caller(briefly, _fail, opened, error, RunUsage())
            raise error from None
        except BaseException as gone:
            why = ToolFailedError(f"stopped: {type(gone).__name__}")
            await bridge.on_caller(briefly, _fail, opened, why, RunUsage())
            raise
        if result.error is not None:
            await bridge.on_caller(briefly, _fail, opened, result.error, result.usage)
            result.error.extra["run_id"] = str(opened.id)
            raise result.error
        await bridge.on_caller(briefly, _finish, opened, result.usage)
        made = result.output if result.outputs is None else result.outputs
        return Returned(output=as_text(made), run_id=opened.id)

    return Tool(
        kind="workflow",
        name=tool_name(description),
        description=description.get("description") or workflow.description or workflow.name or workflow.key,
        parameters=parameters_of(loaded.inputs),
        run=run,
    )


def parameters_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of the arguments. A workflow that declares no inputs takes a text as its `input`."""
    if not inputs:
        return {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    properties = {}
    for name, declared in inputs.items():
        kind = {} if declared["type"] == "any" else {"type": declared["type"]}
        properties[name] = {**kind, **{word: declared[word] for word in ("description", "default") if word in declared}}
    required = [name for name, declared in inputs.items() if declared["required"]]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _open(workflow: Workflow, version: str, caller: Caller) -> OpenRun:
    return log.start(
        actor=caller.actor,
        source="workflow",
        workspace_id=workflow.workspace_id,
        ref_id=workflow.pk,
        ref_key=workflow.key,
        parent_id=caller.run_id,
        environment=caller.environment,
        version=version,
    )


def _finish(opened: OpenRun, usage: RunUsage) -> None:
    log.finish(opened, **usage.for_log)


def _fail(opened: OpenRun, error: DomainError, usage: RunUsage) -> None:
    log.fail(opened, error.message, **usage.for_log)


KIND = ToolKind(name="workflow", fields=WorkflowTool, find=find, summary="A workflow: its inputs are the arguments.")
