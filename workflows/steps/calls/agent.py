"""Run an agent of the same workspace. It is a run of its own in the log, under the workflow's."""

from agents.providers import registry
from agents.runtime.embedded import run_agent
from governance.api.fields import KeyField
from governance.core.errors import ConflictError, InvalidInputError
from workflows.language.structure import Step
from workflows.steps.base import Context, Outcome, StepFailedError, StepSerializer, StepType
from workflows.steps.calls import model
from workflows.steps.fields.references import ValuesField


class AgentStep(StepSerializer):
    agent_key = KeyField(style={"suggest": "agents"}, help_text="The key of an agent in the same workspace.")
    variables = ValuesField(
        required=False, help_text="What its prompt is filled with, beside the step's input as {{input}}."
    )


async def run(step: Step, context: Context) -> Outcome:
    variables, missing = context.fill(step.fields.get("variables", {}))
    run = context.run
    try:
        answer = await run_agent(
            actor=run.actor,
            workspace_id=run.workspace_id,
            key=step["agent_key"],
            variables={"input": context.input, **variables},
            unit=run.unit,
            strict=run.strict,
            parent_id=run.run_id,
            depth=run.depth + 1,
        )
    except ConflictError as error:  # the agent, or its prompt, does not exist
        raise StepFailedError(error.message) from None
    except InvalidInputError as error:
        if error.fields and "variables" in error.fields:
            raise
        raise StepFailedError(error.message.partition(": ")[2].removesuffix(registry.OR_SEND_IT)) from None
    result = answer["result"]
    trace = {name: result[name] for name in (*model.TRACE_FIELDS, *model.OPTIONAL_TRACE_FIELDS) if name in result}
    known = {
        "agent_key": step["agent_key"],
        "missing": list(dict.fromkeys([*missing, *answer["missing"]])),
        "unused": [name for name in answer["unused"] if name in variables],  # without the input, always sent
        "run_id": answer["run_id"],
    }
    return Outcome(output=result.get("parsed", result["output"]), trace={**known, **trace})


STEP = StepType(
    name="agent",
    summary="Run an agent of the same workspace. The output is its answer: JSON, if it answers by a schema.",
    fields=AgentStep,
    run=run,
    trace_fields=(*model.TRACE_FIELDS, *model.OPTIONAL_TRACE_FIELDS, "agent_key", "missing", "unused", "run_id"),
)
