"""Users and tokens."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth import update_session_auth_hash
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from governance.access.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin
from governance.admin.forms import CheckedForm, OperationForm, ServiceForm
from governance.admin.messages import of_new_secret
from governance.identity import tokens, users
from governance.identity.models import Token, User
from governance.identity.serializers import TokenSerializer, UserSerializer
from governance.tenancy.admin.filters import WorkspaceFilter
from governance.tenancy.models import DEFAULT_WORKSPACE, Membership, Workspace


def _password_field(**kwargs: Any) -> forms.CharField:
    return forms.CharField(
        strip=False, max_length=1000, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), **kwargs
    )


class WithNewPassword(CheckedForm):
    """A password that is typed twice, since it is not shown."""

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if self.cleaned_data.get("password") not in (None, again):
            raise forms.ValidationError("The two passwords are not the same.")
        return again


class UserForm(ServiceForm[User], WithNewPassword):
    serializer_class = UserSerializer
    workspaces = forms.ModelMultipleChoiceField(
        queryset=Workspace.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What they see. Admins see every workspace.",
    )

    def starting_values(self) -> dict[str, Any]:
        return {"workspaces": sorted(membership.workspace_id for membership in self.instance.memberships.all())}

    def clean_workspaces(self) -> list[str]:
        return [workspace.pk for workspace in self.cleaned_data["workspaces"]]


class NewUserForm(UserForm):
    password = _password_field()
    again = _password_field(label="Password again")


class PasswordForm(OperationForm, WithNewPassword):
    serializer_class = UserSerializer
    password = _password_field(label="New password")
    again = _password_field(label="New password again")


class OwnPasswordForm(AdminPasswordChangeForm):
    """/admin/password_change/, by way of the service."""

    def save(self, commit: bool = True) -> Any:
        changed = users.update_user(
            actor=Actor.of_user(self.user), user=self.user, password=self.cleaned_data["new_password1"]
        )
        self.user.password = changed.password  # what keeps this session alive is made of it
        return self.user


@admin.register(User)
class UserAdmin(ServiceAdmin[User]):
    scoped = False
    form = UserForm
    list_display = ["username", "role", "is_active", "sees", "last_login", "created_at"]
    list_filter = ["role", "is_active", ("workspaces", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["username"]
    date_hierarchy = "created_at"
    add_fields = ["username", "password", "again", "role", "workspaces"]
    change_fields = ["username", "role", "workspaces", "is_active"]
    readonly_fields = ["last_login", "created_at", "updated_at"]
    change_form_template = "governance/admin/user.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("memberships__workspace")

    def get_urls(self) -> list[URLPattern]:
        return [self.operation_url("password", self.password_view), *super().get_urls()]

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if obj else {"form": NewUserForm}), **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"workspaces": [DEFAULT_WORKSPACE], **super().get_changeform_initial_data(request)}

    @admin.display(description="workspaces")
    def sees(self, user: User) -> str:
        return ", ".join(sorted(membership.workspace.name for membership in user.memberships.all()))

    def belongings(self, rows: Iterable[User]) -> dict[str, int]:
        return {"sessions": Token.objects.filter(user__in=list(rows)).count()}

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> User:
        return users.create_user(actor=actor, **values)

    def perform_update(self, actor: Actor, row: User, values: dict[str, Any], if_match: str | None) -> User:
        return users.update_user(actor=actor, user=row, **values)

    def perform_destroy(self, actor: Actor, row: User) -> None:
        users.delete_user(actor=actor, user=row)

    def password_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, user: User, form: PasswordForm) -> str:
            changed = users.update_user(actor=actor, user=user, **form.values)
            if changed.pk == actor.user_id:
                update_session_auth_hash(request, changed)
            return f"{user.username} has a new password; their sessions have ended."

        return self.operate(
            request, object_id, title="New password", form_class=PasswordForm, perform=perform, button="Set password"
        )


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin[Membership]):
    """Who sees what. It is changed with the user."""

    scoped = False
    list_display = ["user", "workspace"]
    list_filter = [("workspace", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["user", "workspace"]
    search_fields = ["user__username", "workspace__name"]
    ordering = ["user__username", "workspace__name"]


class TokenForm(ServiceForm[Token]):
    serializer_class = TokenSerializer
    related = ("workspace",)
    dropped_when_empty = ("env", "expires_at")
    env = forms.CharField(
        required=False,
        max_length=50,
        label="Environment",
        help_text="The name of the one environment that it is for; empty for all of the workspace's.",
    )

    def clean_expires_at(self) -> str | None:
        expires_at = self.cleaned_data["expires_at"]
        return expires_at.isoformat() if expires_at else None  # as the API is sent it


@admin.register(Token)
class TokenAdmin(ServiceAdmin[Token]):
    """API tokens are made here and shown once. Sessions are made by logging in; both can be revoked."""

    form = TokenForm
    list_display = ["name", "kind", "user", "workspace", "environment", "role", "hint", "created_at", "expires_at"]
    list_filter = ["kind", "role", WorkspaceFilter]
    list_select_related = ["user", "workspace"]
    search_fields = ["name", "hint", "user__username", "created_by"]
    date_hierarchy = "created_at"
    add_fields = ["name", "role", "workspace", "env", "expires_at"]
    readonly_fields = [
        "name",
        "kind",
        "user",
        "workspace",
        "environment",
        "role",
        "hint",
        "created_by",
        "created_at",
        "expires_at",
    ]

    class Media:
        js = ["governance/copy.js"]

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Token | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is None:
            for name in ("role", "workspace"):  # a session has none, which is why the model lets them be empty
                form.base_fields[name].required = True
        return form

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Token:
        token, secret = tokens.create_token(actor=actor, env=values.pop("environment", None), **values)
        token.secret = secret  # type: ignore[attr-defined]  # for the message alone
        return token

    def perform_destroy(self, actor: Actor, row: Token) -> None:
        tokens.revoke_token(actor=actor, token=row)

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, of_new_secret(obj.name, obj.secret), messages.WARNING)  # type: ignore[attr-defined]
        return super().response_add(request, obj, post_url_continue)
