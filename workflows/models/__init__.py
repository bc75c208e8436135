"""What workflows keep: drafts, and the versions that were published of them."""

from workflows.models.workflow import Workflow, WorkflowVersion, digest_of

__all__ = ["Workflow", "WorkflowVersion", "digest_of"]
