"""Failed logins of names and addresses that are slowed down. Deleting a row lets them try again at once."""

from django.contrib import admin
from django.http import HttpRequest

from governance.access.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.forms import ServiceForm
from governance.identity import lockout
from governance.identity.models import LoginFailures


@admin.register(LoginFailures)
class LoginFailuresAdmin(ServiceAdmin[LoginFailures]):
    scoped = False
    form = ServiceForm
    list_display = ["kind", "username", "address", "failures", "started_at", "forgotten_at"]
    list_filter = ["kind"]
    search_fields = ["username", "address"]
    readonly_fields = ["kind", "username", "address", "failures", "started_at", "forgotten_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: LoginFailures | None = None) -> bool:
        return False

    def perform_destroy(self, actor: Actor, row: LoginFailures) -> None:
        lockout.lift(actor=actor, failures=row)
