"""Workflows in the back office: built, published, run and watched here, through the services."""

from workflows.admin import runs, triggers, versions, workflows

__all__ = ["runs", "triggers", "versions", "workflows"]
