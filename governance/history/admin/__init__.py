"""The audit log in the back office, and what all lists of logs share."""

from governance.history.admin import audits

__all__ = ["audits"]
