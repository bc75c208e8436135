"""Which definition a run uses."""

from typing import Any

from governance.changes import publishing
from workflows.models import Workflow, WorkflowVersion


def choose(workflow: Workflow, version: str | None) -> tuple[str, dict[str, Any]]:
    """The label and the stored definition of the draft, the live version or a named one; by default what is served.

    Raises InvalidInputError when there is no such version.
    """
    if version is None:
        return workflow.served
    state = publishing.state_named(workflow, version, noun="workflow")
    if isinstance(state, WorkflowVersion):
        return state.label, state.definition
    return workflow.version, workflow.definition
