import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from governance.models.identity import Role, User
from governance.models.workspace import Workspace


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
