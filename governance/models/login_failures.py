from django.db import models


class FailureKind(models.TextChoices):
    NAME_AT_ADDRESS = "name_at", "A name from an address"
    ADDRESS = "address", "Names from an address"
    NAME = "name", "A name from everywhere"
    ALL = "all", "Names in all"
    TOKENS = "tokens", "Tokens from an address"
    ALL_TOKENS = "all_tokens", "Tokens in all"


class LoginFailures(models.Model):
    """How many wrong credentials came lately: of one name, of one address, or in all.

    `forgotten_at` is when all of it will be forgotten: each failure moves it on by the time that regains one try
    (governance/lockout.py). A row that is past it says nothing, and is swept out.
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
