"""Model providers in the back office."""

from typing import Any

from django import forms
from django.contrib import admin

from agents.models import ModelProvider
from agents.providers import services
from agents.serializers import ModelProviderSerializer
from governance.access.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.forms import ServiceForm


class ModelProviderForm(ServiceForm[ModelProvider]):
    """The key is never shown: an empty field leaves it as it is, the checkbox deletes it."""

    serializer_class = ModelProviderSerializer
    related = ("forget_key",)
    dropped_when_empty = ("api_key",)
    api_key = forms.CharField(
        required=False,
        max_length=500,
        label="Key",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown again. Left empty, the stored one stays.",
    )
    unsupported = forms.CharField(
        required=False,
        label="Does not know",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Parameters, or stream_options and the like, with commas between: they are not sent.",
    )
    forget_key = forms.BooleanField(required=False, label="Forget the stored key")

    def starting_values(self) -> dict[str, Any]:
        return {"unsupported": ", ".join(self.instance.unsupported)}

    def clean_unsupported(self) -> list[str]:
        return [name for part in self.cleaned_data["unsupported"].split(",") if (name := part.strip())]


@admin.register(ModelProvider)
class ModelProviderAdmin(ServiceAdmin[ModelProvider]):
    """Settings of built-in providers, and providers that admins add."""

    scoped = False
    form = ModelProviderForm
    list_display = ["name", "label", "base_url", "default_model", "key_hint", "updated_at"]
    search_fields = ["name", "label", "base_url"]
    ordering = ["name"]
    add_fields = ["name", "label", "base_url", "default_model", "unsupported", "api_key"]
    change_fields = [*add_fields, "forget_key"]
    readonly_fields = ["key_hint", "created_at", "updated_at"]

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> ModelProvider:
        values.pop("forget_key", None)
        return services.create_provider(actor=actor, **values)

    def perform_update(
        self, actor: Actor, row: ModelProvider, values: dict[str, Any], if_match: str | None
    ) -> ModelProvider:
        if values.pop("forget_key", False):
            values["api_key"] = ""
        return services.update_provider(actor=actor, provider=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: ModelProvider) -> None:
        services.delete_provider(actor=actor, provider=row)
