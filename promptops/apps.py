from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PromptOpsAdminConfig(AdminConfig):
    default_site = "promptops.site.admin.PromptOpsAdminSite"


class PromptOpsConfig(AppConfig):
    """Makes the management commands known."""

    name = "promptops"
