"""The back office of governance. The apps above build theirs from `base`, `forms` and `filters`."""

from django.contrib import admin
from django.contrib.auth import admin as _auth_admin  # noqa: F401  # registers Group, which must be there to be taken out
from django.contrib.auth.models import Group

from governance.admin import audits, clients, lockouts, logins, logs, people, places, runs

admin.site.unregister(Group)  # roles are one table (governance.permissions); a group would change nothing

__all__ = ["audits", "clients", "lockouts", "logins", "logs", "people", "places", "runs"]
