"""Form parts for what lives in an environment."""

from typing import Any, Generic, TypeVar

from django import forms
from django.db.models import Model

from governance.admin.forms import ServiceForm
from governance.tenancy.models import Environment

M = TypeVar("M", bound=Model)


class EnvironmentField(forms.ModelChoiceField[Environment]):
    """An environment, called by its workspace's name too."""

    def label_from_instance(self, obj: Environment) -> str:
        return f"{obj.workspace.name} / {obj.name}"


class InEnvironmentForm(ServiceForm[M], Generic[M]):
    """The form of what lives in an environment: it may move to another one of its workspace."""

    related = ("environment",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_new and "environment" in self.fields:
            choice: Any = self.fields["environment"]
            row: Any = self.instance
            choice.queryset = choice.queryset.filter(workspace_id=row.workspace_id)
