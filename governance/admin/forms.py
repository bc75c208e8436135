"""Forms whose input the API's serializers check, so that the admin accepts what the API accepts, and nothing else."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Literal, TypeVar

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from governance.api.parsing import loads
from governance.core.errors import DomainError, PreconditionError
from governance.core.models import Versioned

M = TypeVar("M", bound=Model)


def code(rows: int, language: Literal["json", "template"] = "json") -> forms.Textarea:
    """A widget for text that a program reads: a plain field, which editor.js makes an editor where scripts run."""
    attrs = {"class": "vLargeTextField code", "rows": rows, "spellcheck": "false", "data-editor": language}
    return forms.Textarea(attrs=attrs)


STALE = (
    "Somebody else changed this since you opened it, so nothing was done. Open the page again, look at what is there "
    "now, and repeat what you need of it."
)
#: The page of a row shows both sides (governance.admin.conflicts).
STALE_FORM = (
    "Somebody else changed this since you opened it, so nothing was saved. What you typed is still in the form; below "
    "you see it beside what they saved."
)


class LinesField(forms.CharField):
    """Text of several lines. A browser ends each with CR LF; LF is what is kept, and that alone is no change."""

    widget = AdminTextareaWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"strip": False, **kwargs})

    def to_python(self, value: Any) -> str:
        return _lines(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return _lines(initial or "") != _lines(data or "")


class JsonField(LinesField):
    """JSON as text, read as strictly as the API reads it. `empty` is what no text at all stands for."""

    empty_values = [None]  # an empty list is a value, which the serializer checks

    def __init__(self, *, empty: Any = None, **kwargs: Any) -> None:
        self.empty = empty
        super().__init__(**{"widget": code(6), **kwargs})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text.strip():
            return self.empty
        try:
            return loads(text)
        except ParseError as error:
            raise ValidationError(str(error.detail).replace("the body", "this")) from None

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value  # as it was typed
        return json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return _canonical(self.to_python(data)) != _canonical(initial)
        except ValidationError:
            return True


class CheckedForm(forms.BaseForm):
    """A form whose input the API's serializer checks. `values` is the checked input.

    Fields have the serializer's names. `related` are those that it doesn't know, since they hold a row;
    `dropped_when_empty` are those that are left out when nothing was typed. `refusal` is a service's error to show.
    `seen` is the tag of the state that the user saw when they began to type.
    """

    serializer_class: ClassVar[type[serializers.Serializer[Any]]]
    related: ClassVar[Iterable[str]] = ()
    dropped_when_empty: ClassVar[Iterable[str]] = ()
    refusal: ClassVar[DomainError | None] = None
    stale_sentence: ClassVar[str] = STALE
    values: dict[str, Any]
    seen: str | None = None
    stale = False

    def check_input(self, names: Iterable[str]) -> None:
        """Put the fields of these names into `values`, or report what is wrong with them."""
        typed = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        for name in self.dropped_when_empty:
            if typed.get(name) in (None, ""):
                typed.pop(name, None)
        known = self.serializer_class().fields
        serializer = self.serializer_class(
            data={name: value for name, value in typed.items() if name in known}, partial=True
        )
        self.values = {name: typed[name] for name in self.related if name in typed}
        if serializer.is_valid():
            self.values |= serializer.validated_data
        else:
            for name, problems in serializer.errors.items():
                self.add_error(name if name in self.fields else None, _sentences(problems))
        if self.refusal is not None:
            self.add_refusal(self.refusal)

    def add_refusal(self, refusal: DomainError) -> None:
        """Show a service's error: at the fields that it names, and above the form unless a field has its message."""
        if isinstance(refusal, PreconditionError):
            self.add_stale()
            return
        shown = False
        for name, problems in (refusal.fields or {}).items():
            if name in self.fields and not isinstance(problems, dict):
                sentences = _sentences(problems)
                shown = shown or refusal.message.endswith(sentences[0])
                self.add_error(name, sentences)
        if not shown:
            self.add_error(None, refusal.message)

    def add_stale(self) -> None:
        """Show that the row was changed since the form was opened."""
        self.stale = True
        self.add_error(None, self.stale_sentence)


class ServiceForm(CheckedForm, forms.ModelForm[M], Generic[M]):
    """The form of a row. What was changed in it goes to the service, with the state that it was changed from.

    A user who has seen what somebody else saved meanwhile may send the tag of that state as `over`: their input is then
    saved over that state, but over no later one.
    """

    stale_sentence = STALE_FORM
    if_match = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_new:
            return
        self.initial.update(self.starting_values())
        self.tag = self._tag()
        self.initial["if_match"] = self.tag
        self.fields["if_match"].required = True

    @property
    def is_new(self) -> bool:
        return self.instance._state.adding

    def starting_values(self) -> dict[str, Any]:
        """What the form begins with in fields that are no columns of the row."""
        return {}

    def _tag(self) -> str:
        """Names the state that the form began with: the row's entity tag; where there is none, one of its values."""
        if isinstance(self.instance, Versioned):
            return self.instance.etag
        state = repr([(name, self.initial.get(name)) for name in sorted(self.fields)])
        return f'"{hashlib.sha256(state.encode()).hexdigest()[:16]}"'

    def _post_clean(self) -> None:
        # Django would put the input on the row here and check it by the model: the serializer and the service do that.
        self.seen = self.data.get("over") or self.cleaned_data.get("if_match") or None
        self.check_input([name for name in self.fields if self.is_new or name in self.changed_data])
        if not self.is_new and not isinstance(self.instance, Versioned) and self.seen not in (None, self.tag):
            self.add_stale()  # services of these have no lock to ask for: this is in the save's transaction


class OperationForm(CheckedForm, forms.Form):
    """The form of one operation on `row`."""

    if_match = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any, *, row: Any, initial: dict[str, Any]) -> None:
        self.row = row
        super().__init__(data, initial={**self.starting_values(), **initial, "if_match": self.tag()})
        self.fields["if_match"].required = self.initial["if_match"] is not None

    def starting_values(self) -> dict[str, Any]:
        """What the form begins with."""
        return {}

    def tag(self) -> str | None:
        """The entity tag of the state that the operation is meant for."""
        return self.row.etag if isinstance(self.row, Versioned) else None

    def _post_clean(self) -> None:
        self.seen = self.cleaned_data.get("if_match") or None
        self.check_input(self.fields)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, cls=DjangoJSONEncoder)


def _sentences(problems: Any) -> list[str]:
    """The sentences in a serializer's nest of problems, in order."""
    if isinstance(problems, dict):
        return [f"{name}: {sentence}" for name, inner in problems.items() for sentence in _sentences(inner)]
    if isinstance(problems, list | tuple):
        return [sentence for inner in problems for sentence in _sentences(inner)]
    return [str(problems)]
