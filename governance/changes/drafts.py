"""The columns of everything that has a draft which is edited, and versions of it which never change."""

import uuid
from typing import Any, Literal

from django.db import models

from governance.core.models import Entity

Status = Literal["draft", "published", "modified"]


class Version(models.Model):
    """A draft as it was when it was published or kept. A subclass has a foreign key to its draft, and the content."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(help_text="1 for the first, and so on.")
    label = models.CharField("version", max_length=64)
    digest = models.CharField(max_length=64, editable=False)
    note = models.CharField(max_length=1000, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.label


class Draft(Entity):
    """What is edited and published. A subclass has the content, and `live`: the version that is served, or null.

    `version` is the label that the draft was published under, or is meant for. `draft_digest` equals a version's
    `digest` when their contents are equal.
    """

    version = models.CharField(max_length=64, default="v1")
    draft_digest = models.CharField(max_length=64, editable=False)
    version_count = models.PositiveIntegerField(default=0, editable=False)

    live: Any  # each subclass has its own versions, to which these two lead
    versions: Any

    class Meta:
        abstract = True

    @property
    def status(self) -> Status:
        """draft: never published; published: the draft is what is live; modified: it differs."""
        if self.live is None:
            return "draft"
        return "published" if self.live.digest == self.draft_digest else "modified"
