"""What workflows keep: drafts, and the versions that were published of them."""

from workflows.models.workflow import DEFINITION_FIELDS, Workflow, WorkflowVersion, digest_of

__all__ = ["DEFINITION_FIELDS", "Workflow", "WorkflowVersion", "digest_of"]
