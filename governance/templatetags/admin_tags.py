"""Template tags and filters of the back office."""

import json
from datetime import datetime
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.template.defaultfilters import date
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()

STATES = {"published": "good", "ok": "good", "live": "good", "modified": "warn", "running": "info", "waiting": "warn"}
STATES |= {"error": "bad", "failed": "bad", "interrupted": "bad", "enabled": "info"}


@register.filter
def as_json(value: Any) -> str:
    """JSON for a data attribute, where a script reads it; the template escapes it."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """How long ago, with the moment itself as a tooltip."""
    if moment is None:
        return "-"
    passed = timesince(moment, depth=1) if (timezone.now() - moment).total_seconds() >= 60 else ""
    text = f"{passed} ago" if passed else "just now"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), date(moment, "Y-m-d H:i:s e"), text
    )


@register.filter
def grouped(number: int) -> str:
    """A large number that can be read."""
    return f"{number:,}"


@register.filter
def badge(word: str) -> SafeString:
    """A state as a small label, in its colour."""
    return format_html('<span class="badge {}">{}</span>', STATES.get(word, ""), word)


@register.simple_tag
def panel(facts: dict[str, Any]) -> str:
    """A panel of the home page: its template, with its facts and nothing else."""
    return render_to_string(facts["panel"].template, facts)
