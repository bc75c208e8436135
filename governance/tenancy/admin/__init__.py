"""Workspaces and environments in the back office."""

from governance.tenancy.admin import forms, pages

__all__ = ["forms", "pages"]
