"""What the run log can be narrowed down by."""

import uuid
from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.history.admin.forms import ANY, ListedInput, LogForm
from governance.runs.models import Grain, Run, RunStatus, RunTally

#: What is offered to choose from is what ran lately; anything else can still be typed.
LATELY = timedelta(days=92)

OFFERED = 200


class TalliedForm(LogForm):
    """Filters by the dimensions of tallies."""

    columns = {
        "workspace": "workspace_id",
        "source": "source",
        "key": "ref_key",
        "provider": "provider",
        "model": "model",
        "environment": "environment",
        "version": "version",
        "variant": "variant",
    }

    source = forms.ChoiceField(required=False)
    key = forms.CharField(required=False, max_length=200, widget=ListedInput)
    provider = forms.ChoiceField(required=False)
    model = forms.ChoiceField(required=False)
    environment = forms.ChoiceField(required=False)
    version = forms.CharField(required=False, max_length=64, widget=ListedInput)
    variant = forms.ChoiceField(required=False, choices=[ANY, ("A", "A"), ("B", "B")])

    def __init__(self, data: Any, *, actor: Actor) -> None:
        super().__init__(data, actor=actor)
        months = visible_to(actor, RunTally.objects.filter(grain=Grain.MONTH, start__gte=timezone.now() - LATELY))
        several = ("source", "provider", "model", "environment")
        there = list(months.order_by().values_list(*several).distinct())
        for place, name in enumerate(several):
            values = sorted({row[place] for row in there})
            self.offer(name, [(value, value) for value in values])
        for name, column in (("key", "ref_key"), ("version", "version")):
            widget: Any = self.fields[name].widget
            named = months.exclude(**{column: ""}).order_by(column).values_list(column, flat=True)
            widget.offered = list(named.distinct()[:OFFERED])


class RunForm(TalliedForm):
    """Runs. What looks like the id of one in the field for keys is one."""

    main = ("key", "status", "provider", "model", "window")
    field_order = (*main, "workspace", "source", "environment", "version")
    status = forms.ChoiceField(required=False, choices=[ANY, *RunStatus.choices])

    def __init__(self, data: Any, *, actor: Actor) -> None:
        super().__init__(data, actor=actor)
        del self.fields["variant"]
        self.fields["key"].label = "Key, or a run's id"

    def run_id(self) -> uuid.UUID | None:
        """The id of the one run that is asked for."""
        try:
            return uuid.UUID(self.chosen.get("key", ""))
        except ValueError:
            return None

    def narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.run_id()
        if wanted is not None and rows.model is Run:
            return rows.filter(pk=wanted)
        return super().narrowed(rows)

    def within(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        status = self.chosen.get("status")
        rows = super().within(rows)
        return rows.filter(status=status) if status else rows


class StatsForm(TalliedForm):
    """Charts: of which runs, and grouped by what."""

    BY = {
        "provider": "provider",
        "model": "model",
        "version": "version",
        "variant": "variant",
        "key": "ref_key",
    }
    main = ("by", "window", "key", "provider", "model")
    field_order = main
    by = forms.ChoiceField(
        required=False, label="Told apart by", choices=[("", "Nothing"), *((name, name.capitalize()) for name in BY)]
    )

    def __init__(self, data: Any, *, actor: Actor) -> None:
        super().__init__(data or {"window": "week"}, actor=actor)
