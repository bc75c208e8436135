"""Which workflows use a model provider: asked before one is renamed or deleted."""

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from workflows.definition import parsing
from workflows.models import Workflow


def on_provider(name: str) -> list[str]:
    """The keys of the workflows whose draft or live version has a step that runs on the provider of that name."""
    # The text is searched first, in the database: reading every definition takes too long.
    texts = {"draft_text": Cast("steps", TextField()), "live_text": Cast("live__steps", TextField())}
    mentioned = Q(draft_text__contains=f'"{name}"') | Q(live_text__contains=f'"{name}"')
    found = Workflow.objects.select_related("live").annotate(**texts).filter(mentioned).order_by("key")
    return [workflow.key for workflow in found.iterator(chunk_size=50) if name in _providers(workflow)]


def _providers(workflow: Workflow) -> set[str]:
    states = [workflow.definition] + ([workflow.live.definition] if workflow.live else [])
    return set[str]().union(*(parsing.providers(parsing.load(state)) for state in states))
