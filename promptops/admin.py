"""The admin site: Django's own, under our name."""

from django.contrib.admin import AdminSite


class PromptOpsAdminSite(AdminSite):
    site_header = site_title = "PromptOps"
    index_title = "Back office"
    site_url = None
