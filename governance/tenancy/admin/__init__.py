from governance.tenancy.admin import forms, pages

__all__ = ["forms", "pages"]
