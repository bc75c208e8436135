"""The panels about prompts on the home page."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from prompts.models import Prompt, PromptVersion, long_columns

SHOWN = 6
#: How long ago a draft may have been changed and still be shown.
RECENT = timedelta(days=30)


def latest_publishes(actor: Actor) -> dict[str, Any]:
    """The versions that were made last, by a publish or without one. One query."""
    versions = PromptVersion.objects.select_related("prompt__environment__workspace").order_by("-created_at", "-id")
    return {"versions": visible_to(actor, versions.defer(*long_columns("", "prompt")))[:SHOWN]}


def waiting_drafts(actor: Actor) -> dict[str, Any]:
    """Drafts that were changed of late and are not what is live. One query."""
    drafts = Prompt.objects.filter(state__in=["draft", "modified"], updated_at__gt=timezone.now() - RECENT)
    drafts = drafts.select_related("environment__workspace", "live").order_by("-updated_at", "-id")
    return {"drafts": visible_to(actor, drafts.defer(*long_columns("", "live")))[:SHOWN]}
