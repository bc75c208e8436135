"""Users, their credentials, and the failed attempts to log in."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from governance.access.permissions import allows_model_permission
from governance.access.roles import Role
from governance.core import registry
from governance.tenancy.models import Workspace


@dataclass(frozen=True, slots=True)
class AdminFactory(registry.Entry):
    """The service that creates an admin from a name and a password. It imports the models, so they can't import it."""

    create: Callable[[str, str], "User"]


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)

    def create_superuser(self, username: str, password: str, **fields: Any) -> "User":
        """For `manage.py createsuperuser`: an admin, by way of the service that writes the audit log too."""
        return registry.only(AdminFactory).create(username, password)


class User(AbstractBaseUser):
    """A user of the admin and the API. They see the workspaces that they are a member of; an admin sees all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.CharField(
        max_length=150,
        unique=True,
        validators=[UnicodeUsernameValidator()],
        error_messages={"unique": "A user with that name exists already."},
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    is_active = models.BooleanField(default=True, help_text="Uncheck to shut somebody out without deleting them.")
    workspaces = models.ManyToManyField(Workspace, through="Membership", related_name="users")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_unique_ci"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def is_staff(self) -> bool:
        """Every active user may open the admin; what they see there depends on their role."""
        return self.is_active

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and allows_model_permission(Role(self.role), perm)

    def has_perms(self, perms: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active


class TokenKind(models.TextChoices):
    SESSION = "session", "Session"
    API = "api", "API token"


class Token(models.Model):
    """A bearer credential. The secret itself is shown once and never stored: here is its SHA-256.

    A session belongs to a user and can do what the user can at that moment; an API token has a role of its own in one
    workspace, and if `environment` is set, in that environment of it alone.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "environment"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=TokenKind.choices)
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(
        max_length=12, editable=False, help_text="The secret's first characters, to tell tokens apart."
    )
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="tokens")
    workspace = models.ForeignKey(Workspace, models.CASCADE, null=True, blank=True, related_name="tokens")
    role = models.CharField(max_length=10, choices=Role.choices, blank=True)
    environment = models.SlugField("env", max_length=50, blank=True)
    created_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="token_is_a_session_or_an_api_token",
                condition=Q(kind=TokenKind.SESSION, user__isnull=False, workspace__isnull=True, role="", environment="")
                | Q(kind=TokenKind.API, user__isnull=True, workspace__isnull=False, role__in=Role.values),
            )
        ]
        indexes = [models.Index(fields=["expires_at"], name="token_expiry")]

    def __str__(self) -> str:
        return self.name


class FailureKind(models.TextChoices):
    NAME_AT_ADDRESS = "name_at", "A name from an address"
    ADDRESS = "address", "Names from an address"
    NAME = "name", "A name from everywhere"
    ALL = "all", "Names in all"
    TOKENS = "tokens", "Tokens from an address"
    ALL_TOKENS = "all_tokens", "Tokens in all"


class LoginFailures(models.Model):
    """How many wrong credentials were tried lately: of one name, of one address, or in all.

    `forgotten_at` is when the count is back at zero: each failure moves it on by the time that regains one try
    (governance/identity/lockout.py). A row that is past it has no effect, and is deleted.
    """

    digest = models.CharField(max_length=64, primary_key=True, editable=False)
    kind = models.CharField(max_length=10, choices=FailureKind.choices)
    username = models.CharField(
        max_length=150, blank=True, help_text="Empty also where nobody has that name: it may be a mistyped password."
    )
    address = models.CharField(max_length=64, blank=True)
    failures = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    forgotten_at = models.DateTimeField()

    class Meta:
        ordering = ["-forgotten_at", "digest"]
        verbose_name = verbose_name_plural = "failed logins"
        indexes = [models.Index(fields=["forgotten_at"], name="login_failures_forgotten")]

    def __str__(self) -> str:
        about = ", ".join(filter(None, [self.username, self.address]))
        return f"{self.get_kind_display()}: {about}" if about else str(self.get_kind_display())
