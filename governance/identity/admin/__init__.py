"""Users, tokens and lock-outs in the back office. Django's groups are removed."""

from django.contrib import admin
from django.contrib.auth import admin as _auth_admin  # noqa: F401  # registers Group, which must be there to be removed
from django.contrib.auth.models import Group

from governance.identity.admin import access, lockouts, logins, users

admin.site.unregister(Group)  # roles are one table (governance.access.permissions); a group would change nothing

__all__ = ["access", "lockouts", "logins", "users"]
