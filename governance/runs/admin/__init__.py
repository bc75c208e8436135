"""The run log and its statistics in the back office."""

from governance.runs.admin import runs

__all__ = ["runs"]
