"""The page on which a workflow is run: a field for each variable that it takes."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse

from governance.access.permissions import may
from governance.admin.base import actor_of
from governance.admin.forms import JsonField, LinesField, code
from governance.core.errors import DomainError
from workflows.admin.operations import WorkflowOperations
from workflows.definition import versions
from workflows.language.names import RESERVED
from workflows.language.values import names_in
from workflows.models import Workflow
from workflows.runs import execution

#: The most fields for names that steps ask for and no input declares.
UNDECLARED = 20


class RunForm(forms.Form):
    """What a run is started with. The field of a variable is called `variable-<name>`."""

    version = forms.ChoiceField(required=False, help_text="What is live, if you don't choose.")
    mode = forms.ChoiceField(
        label="How",
        choices=[("background", "In the background, followed step by step"), ("wait", "At once: wait for the answer")],
    )
    unit = forms.CharField(required=False, max_length=500, help_text="Who a rollout's variant sticks to.")
    strict = forms.BooleanField(required=False, help_text="A variable without a value is an error.")
    others = JsonField(required=False, empty={}, label="Other variables", widget=code(3))

    def __init__(self, request: HttpRequest, workflow: Workflow) -> None:
        is_post = request.method == "POST"
        #: The version that is asked for; None for what is served.
        self.wanted = (request.POST if is_post else request.GET).get("version") or None
        super().__init__(request.POST if is_post else None, initial={"version": self.wanted or ""})
        self._problem = ""
        try:
            _, stored = versions.choose(workflow, self.wanted)
        except DomainError as error:
            self._problem = error.message
            _, stored = workflow.served
        choice: Any = self.fields["version"]
        labels = workflow.versions.values_list("label", flat=True)[:100]
        served = workflow.live.label if workflow.live else "the draft"
        choice.choices = [("", f"What is served: {served}"), ("draft", "The draft"), *((one, one) for one in labels)]
        self.inputs: Mapping[str, Any] = stored.get("inputs", {})
        rest = list(self.fields)
        for name, declared in self.inputs.items():
            self.fields[_field_name(name)] = _field(name, declared)
        for name in _undeclared(stored):
            self.fields[_field_name(name)] = _field(name, {"type": "text"})
        self.order_fields([name for name in self.fields if name not in rest] + rest)

    def clean(self) -> dict[str, Any]:
        if self._problem:
            self.add_error("version", self._problem)
        return self.cleaned_data

    def typed(self) -> dict[str, Any]:
        """The variables that have a value."""
        values = {name.removeprefix("variable-"): value for name, value in self.cleaned_data.items() if "-" in name}
        filled = {name: value for name, value in values.items() if value not in (None, "")}
        return {**self.cleaned_data["others"], **filled}

    def add_refusal(self, error: DomainError) -> None:
        problems = (error.fields or {}).get("variables")
        if isinstance(problems, dict):
            for name, problem in problems.items():
                self.add_error(_field_name(name) if _field_name(name) in self.fields else None, problem)
        elif "version" in (error.fields or {}):
            self.add_error("version", error.message)
        else:
            self.add_error(None, error.message)


def _field_name(name: str) -> str:
    return f"variable-{name}"


def _field(name: str, declared: Mapping[str, Any]) -> forms.Field:
    """A field for one variable. Whether a required one is missing is checked when the run starts, for all at once."""
    default = declared.get("default")
    common: dict[str, Any] = {"required": False, "label": name, "help_text": declared.get("description", "")}
    kind = declared["type"]
    if default is not None:
        text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
        common["help_text"] = f"{common['help_text']} If empty: {text}".strip()
    field: forms.Field
    if kind in {"string", "text"}:
        field = LinesField(widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), **common)
    elif kind == "boolean":
        field = forms.TypedChoiceField(
            choices=[("", "---------"), ("true", "true"), ("false", "false")],
            coerce=lambda text: text == "true",
            empty_value=None,
            **common,
        )
    elif kind == "integer":
        field = forms.IntegerField(**common)
    elif kind == "number":
        field = forms.FloatField(**common)
    elif kind == "any":
        field = AnyField(widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), **common)
    else:
        field = JsonField(widget=code(3), **common)
    if declared.get("required"):
        field.label = f"{name} *"
    return field


class AnyField(LinesField):
    """JSON if it can be read as JSON, else text."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text


def _undeclared(stored: Mapping[str, Any]) -> list[str]:
    """The variables that steps ask for beside the declared ones, and `input`, which the first step works on."""
    roots = (name.partition(".")[0] for name in names_in(stored["steps"]))
    asked = dict.fromkeys(["input", *roots])
    return [name for name in asked if name not in RESERVED and name not in stored.get("inputs", {})][:UNDECLARED]


class WorkflowRunning(WorkflowOperations):
    """The part of the workflows' admin that runs one. Whoever may look may run."""

    def get_urls(self) -> list[URLPattern]:
        return [self.operation_url("run", self.run_view), *super().get_urls()]

    def run_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        workflow = self.seen(request, object_id)
        if not may(actor_of(request), "workflow.run"):
            raise PermissionDenied
        if workflow is None:
            return self._missing(request, object_id)
        form = RunForm(request, workflow)
        run_id = self._run(request, workflow, form) if form.is_valid() else None
        if run_id is not None:
            return HttpResponseRedirect(reverse("admin:workflows_workflowrun_change", args=[run_id]))
        return self.show(request, "workflows/admin/running.html", "Run", workflow, {"form": form})

    def _run(self, request: HttpRequest, workflow: Workflow, form: RunForm) -> str | None:
        """Run the workflow. Returns the id of the run, which may have failed; None when it was refused, which the form
        then shows."""
        values = form.cleaned_data
        try:
            answer = execution.run(
                actor=actor_of(request),
                workflow=workflow,
                variables=form.typed(),
                strict=values["strict"],
                unit=values["unit"] or None,
                version=form.wanted,
                background=values["mode"] == "background",
            )
        except DomainError as error:
            if "run_id" not in error.extra:
                form.add_refusal(error)
                return None
            self.message_user(request, error.message, messages.ERROR)
            return str(error.extra["run_id"])
        return str(answer.body["run_id"])
