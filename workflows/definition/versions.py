"""Which definition a run uses."""

from typing import Any

from governance.core.errors import InvalidInputError
from workflows.models import Workflow


def choose(workflow: Workflow, version: str | None) -> tuple[str, dict[str, Any]]:
    """The label and the stored definition of the draft, the live version or a named one; by default what is served.

    Raises InvalidInputError when there is no such version.
    """
    if version is None:
        return workflow.served
    if version == "draft":
        return workflow.version, workflow.definition
    found = workflow.live if version == "live" else workflow.versions.filter(label=version).first()
    if found is None:
        problem = (
            "this workflow has no live version" if version == "live" else f"this workflow has no version {version!r}"
        )
        raise InvalidInputError.of("version", f"{problem}; expected draft, live or the label of a version")
    return found.label, found.definition
