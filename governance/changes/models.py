from typing import ClassVar

from django.db import models

from governance.tenancy.models import Environment


class Change(models.Model):
    """One step of an environment: the truth that every catalog and every socket follows.

    `document` is the text of what applications are served of this resource from here on, exactly as it is sent; null
    when nothing is. `prev_served` is the revision of the served change before this one: a client that leaves out drafts
    sees revisions jump, and knows by it that it missed nothing.
    """

    workspace_path: ClassVar[str] = "environment__workspace_id"
    environment_path: ClassVar[str | None] = "environment__name"

    id = models.BigAutoField(primary_key=True)
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="changes")
    revision = models.PositiveBigIntegerField()
    prev_served = models.PositiveBigIntegerField()
    type = models.CharField(max_length=40)
    resource_id = models.UUIDField()
    key = models.CharField(max_length=200)
    version = models.CharField(max_length=64, blank=True)
    served = models.BooleanField()
    document = models.TextField(null=True)  # noqa: DJ001  # null: nothing is served
    etag = models.CharField(max_length=80, null=True)  # noqa: DJ001  # null with the document
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["environment", "-revision"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "revision"], name="change_revision_unique"),
            models.CheckConstraint(
                condition=models.Q(prev_served__lt=models.F("revision")), name="change_prev_served_before"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.key} at {self.revision}"
