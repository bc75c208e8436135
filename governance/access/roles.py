"""The three roles."""

from django.db import models


class Role(models.TextChoices):
    """What an actor may do; each role may do all that the ones before it may."""

    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    ADMIN = "admin", "Admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, least: "Role") -> bool:
        return self.rank >= least.rank
