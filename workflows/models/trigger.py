"""What starts runs by itself: the clock, and calls from outside."""

from typing import ClassVar

from django.db import models

from governance.core.models import Versioned
from workflows.models.workflow import Workflow


class Triggering(Versioned):
    """What schedules and webhooks have in common. Runs are started as who set it up, and can do no more than that one.

    `bounds` is who that is, and what they could do then: a token that is bound to one environment sees those alone that
    such a token set up.
    """

    workspace_path: ClassVar[str] = "workflow__workspace_id"
    environment_path: ClassVar[str | None] = "bounds__environment"

    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="%(class)ss")
    name = models.CharField(max_length=200)
    enabled = models.BooleanField(default=True)
    variables = models.JSONField(default=dict, blank=True)
    last_error = models.TextField(
        blank=True, editable=False, help_text="Why its last start failed; empty once one has gone well."
    )
    created_by = models.CharField(max_length=200, editable=False)
    bounds = models.JSONField(editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Schedule(Triggering):
    """Starts a run at each tick of a cron expression. Ticks that nobody was there for make one run together."""

    cron = models.CharField(max_length=100)
    timezone = models.CharField(max_length=64, default="UTC")
    next_at = models.DateTimeField(null=True, editable=False, help_text="Its next tick; none while it is off.")
    last_at = models.DateTimeField(null=True, editable=False)
    last_run_id = models.UUIDField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["next_at"], name="schedule_next", condition=models.Q(next_at__isnull=False)),
        ]


class Webhook(Triggering):
    """Starts a run for each signed call. The secret is shown once and kept encrypted, since signatures need it."""

    encrypted_secret = models.TextField(editable=False)
    last_at = models.DateTimeField(null=True, editable=False)
    last_run_id = models.UUIDField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]


class Delivery(models.Model):
    """A call of a webhook that was taken: the same one is not taken twice while its signature would hold."""

    workspace_path: ClassVar[str] = "webhook__workflow__workspace_id"
    environment_path: ClassVar[str | None] = "webhook__bounds__environment"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    signature = models.CharField(max_length=64)
    forget_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["webhook", "signature"], name="webhook_delivery_once")]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return self.signature
