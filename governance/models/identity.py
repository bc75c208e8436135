import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models
from django.db.models.functions import Lower

from governance.permissions import allows_model_permission
from governance.models.workspace import Workspace


class Role(models.TextChoices):
    """What somebody may do; each role may do all that the ones before it may."""

    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    ADMIN = "admin", "Admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, least: "Role") -> bool:
        return self.rank >= least.rank


class UserManager(BaseUserManager["User"]):
    #: The service that makes an admin; it stands above the models, and is put here when the app starts.
    create_admin: ClassVar[Callable[[str, str], "User"]]

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)

    def create_superuser(self, username: str, password: str, **fields: Any) -> "User":
        """For `manage.py createsuperuser`: an admin, by way of the service that writes the audit log too."""
        return self.create_admin(username, password)


class User(AbstractBaseUser):
    """A person. Signs in to the admin and to the API; sees the workspaces they are a member of, an admin all."""

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
        """Everybody may enter the admin; what they find there depends on their role."""
        return self.is_active

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and allows_model_permission(Role(self.role), perm)

    def has_perms(self, perms: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active


class Membership(models.Model):
    """This user sees this workspace."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "workspace"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.workspace_id}"
