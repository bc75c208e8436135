"""The access revision in the back office."""

from django.contrib import admin

from governance.access.models import AccessRevision
from governance.admin.base import ReadOnlyAdmin


@admin.register(AccessRevision)
class AccessRevisionAdmin(ReadOnlyAdmin[AccessRevision]):
    scoped = False
    list_display = ["__str__", "revision"]
