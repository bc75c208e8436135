"""The forms of a workflow's pages."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import ValidationError
from rest_framework.exceptions import APIException

from governance.access.visibility import visible_to
from governance.admin.base import actor_of
from governance.admin.forms import JsonField, LinesField, ServiceForm, code
from governance.admin.versioned import PublishForm, RollbackForm
from governance.core.errors import DomainError
from governance.tenancy.models import Workspace
from workflows.definition import documents, parsing
from workflows.models import Workflow
from workflows.serializers import (
    INPUTS,
    OUTPUTS,
    WorkflowImportSerializer,
    WorkflowPublishSerializer,
    WorkflowRollbackSerializer,
    WorkflowSerializer,
)
from workflows.steps import STEP_TYPES


class WorkflowForm(ServiceForm[Workflow]):
    """The definition is three texts in JSON, of which builder.js makes a form where scripts run."""

    serializer_class = WorkflowSerializer
    related = ("workspace",)
    description = LinesField(required=False, max_length=2000, widget=AdminTextareaWidget(attrs={"rows": 2}))
    inputs = JsonField(required=False, empty={}, help_text=INPUTS)
    steps = JsonField(
        empty=[], widget=code(14), help_text=f"A JSON list of steps, each with its type: {', '.join(STEP_TYPES)}."
    )
    outputs = JsonField(required=False, empty={}, help_text=OUTPUTS)

    def starting_values(self) -> dict[str, Any]:
        return parsing.shown(self.instance.definition)

    def add_refusal(self, refusal: DomainError) -> None:
        """A definition's problems, each at its field and with its place in it."""
        nested = {name: problems for name, problems in (refusal.fields or {}).items() if isinstance(problems, dict)}
        if not nested or not nested.keys() <= self.fields.keys():
            super().add_refusal(refusal)
            return
        for name, problems in nested.items():
            others = [f"{name}[{place}]: {one}" for place in list(problems)[1:] for one in _sentences(problems[place])]
            self.add_error(name, [refusal.message, *others])


class PublishWorkflowForm(PublishForm):
    serializer_class = WorkflowPublishSerializer


class RollbackWorkflowForm(RollbackForm):
    serializer_class = WorkflowRollbackSerializer


class ImportForm(forms.Form):
    """A document, as a file or as text, and the workspace that it goes into."""

    workspace = forms.ModelChoiceField(Workspace.objects.none())
    file = forms.FileField(required=False, label="File", help_text="YAML or JSON, as an export gives it.")
    text = LinesField(required=False, label="Or its text", widget=code(14, language="template"))
    values: dict[str, Any]

    def __init__(self, *args: Any, request: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["workspace"]
        choice.queryset = visible_to(actor_of(request), Workspace.objects.order_by("name"))
        if choice.queryset.count() == 1:
            self.initial["workspace"] = choice.queryset.get()

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if bool(values.get("file")) == bool(values.get("text", "").strip()):
            raise ValidationError("Choose a file, or put its text in: one of the two.")
        name = "file" if values.get("file") else "text"
        try:
            read = documents.from_yaml(values["file"].read() if name == "file" else values["text"])
            checked = WorkflowImportSerializer(data=read)
            checked.is_valid(raise_exception=True)
        except APIException as error:
            raise ValidationError({name: list(_sentences(error.detail))}) from None
        self.values = {field: value for field, value in checked.validated_data.items() if field != "workspace_id"}
        return values


def _sentences(problems: Any) -> Iterator[str]:
    """The sentences in a nest of problems, each with its place."""
    if isinstance(problems, dict):
        for name, inner in problems.items():
            yield from (f"{name}: {one}" for one in _sentences(inner))
    elif isinstance(problems, list):
        for inner in problems:
            yield from _sentences(inner)
    else:
        yield str(problems)
