"""Prompts in the back office: drafts are edited, published, rolled back and rolled out here, through the services."""

from prompts.admin import logs, prompts

__all__ = ["logs", "prompts"]
