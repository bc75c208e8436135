"""The forms of a prompt's pages."""

from typing import Any

from django import forms
from django.contrib import admin

from governance.admin.forms import JsonField, LinesField, OperationForm, code
from governance.admin.versioned import PublishForm, RollbackForm, VersionsForm
from governance.core.models import CONFIG_HELP
from governance.tenancy.admin.forms import InEnvironmentForm
from governance.tenancy.models import Environment
from prompts import services
from prompts.models import Prompt, Rollout
from prompts.serializers import (
    CopySerializer,
    PromptSerializer,
    PublishSerializer,
    RollbackSerializer,
    RolloutSerializer,
    VersionSerializer,
)


def _line(help_text: str = "", **kwargs: Any) -> forms.CharField:
    widget = admin.widgets.AdminTextInputWidget
    return forms.CharField(required=False, widget=widget, help_text=help_text, **kwargs)


class PromptForm(InEnvironmentForm[Prompt]):
    serializer_class = PromptSerializer
    content = LinesField(
        required=False, widget=code(12, language="template"), help_text="A variable is written {{ name }}."
    )
    config = JsonField(required=False, empty={}, help_text=CONFIG_HELP)
    tags = _line("With commas between them.")

    def starting_values(self) -> dict[str, Any]:
        return {"tags": ", ".join(self.instance.tag_names)}


class PublishPromptForm(PublishForm):
    serializer_class = PublishSerializer


class VersionForm(PublishForm):
    serializer_class = VersionSerializer


class RollbackPromptForm(RollbackForm):
    serializer_class = RollbackSerializer


class CopyForm(OperationForm):
    serializer_class = CopySerializer
    dropped_when_empty = ("key",)
    env = forms.ChoiceField(label="To environment", help_text="Of the same workspace.")
    key = _line("Empty to keep the key.", max_length=200)
    replace = forms.BooleanField(
        required=False,
        label="Replace the draft there",
        help_text="Where a prompt of that key is already: its draft becomes equal to this one. Its versions stay.",
    )

    def __init__(self, data: Any, *, row: Prompt, initial: dict[str, Any]) -> None:
        super().__init__(data, row=row, initial=initial)
        names = Environment.objects.filter(workspace_id=row.workspace_id).order_by("created_at", "name")
        choice: Any = self.fields["env"]
        choice.choices = [(name, name) for name in names.values_list("name", flat=True)]

    def starting_values(self) -> dict[str, Any]:
        others = Environment.objects.filter(workspace_id=self.row.workspace_id).exclude(pk=self.row.environment_id)
        return {"env": others.order_by("created_at", "name").values_list("name", flat=True).first()}


class OfRollout(OperationForm):
    """A form about the prompt's rollout: it is refused when the rollout, not the prompt, was changed meanwhile."""

    serializer_class = RolloutSerializer

    def tag(self) -> str | None:
        return services.rollout_tag(self.rollout())

    def rollout(self) -> Rollout | None:
        return getattr(self.row, "rollout", None)


class RolloutForm(OfRollout, VersionsForm):
    version_fields = ("variant_a", "variant_b")
    enabled = forms.BooleanField(required=False, help_text="While it is off, everybody is served the live version.")
    variant_a = forms.ChoiceField(label="Variant A")
    variant_b = forms.ChoiceField(label="Variant B")
    weight_a = forms.FloatField(
        label="Weight of A",
        min_value=0,
        max_value=100,
        help_text="The percentage (0 to 100) of units that get variant A.",
    )

    def starting_values(self) -> dict[str, Any]:
        rollout = self.rollout()
        if rollout is None:
            return {"enabled": True}
        return {
            "enabled": rollout.enabled,
            "variant_a": rollout.variant_a.label,
            "variant_b": rollout.variant_b.label,
            "weight_a": float(rollout.weight_a),
        }


class EndRolloutForm(OperationForm):
    serializer_class = RolloutSerializer


class FinishRolloutForm(OfRollout):
    winner = forms.ChoiceField(label="Variant that stays", widget=forms.RadioSelect)

    def __init__(self, data: Any, *, row: Prompt, initial: dict[str, Any]) -> None:
        super().__init__(data, row=row, initial=initial)
        rollout, choice = self.rollout(), self.fields["winner"]
        if rollout is not None:
            names = {"A": rollout.variant_a, "B": rollout.variant_b}
            choice.choices = [(name, f"{name}: {version}") for name, version in names.items()]  # type: ignore[attr-defined]
