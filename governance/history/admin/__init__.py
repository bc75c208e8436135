from governance.history.admin import audits

__all__ = ["audits"]
