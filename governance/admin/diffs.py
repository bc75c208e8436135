"""What an audit entry changed, formatted: short values as they are, long ones side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from governance.core.diffs import Diff, side_by_side

#: A value of more characters, or of several lines, is shown as lines.
SHORT = 100


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an entry; None stands for no value at all. `diff` is there for long values."""

    name: str
    old: str | None
    new: str | None
    diff: Diff | None = None


def of_changes(changes: Any) -> list[FieldChange]:
    """The changed fields of an entry. A value that is not of the form {old, new} counts as the new one."""
    if not isinstance(changes, Mapping):
        return [_of_field("changes", changes)] if changes else []
    return [_of_field(str(name), value) for name, value in changes.items()]


def _of_field(name: str, value: Any) -> FieldChange:
    usual = isinstance(value, Mapping) and value.keys() == {"old", "new"}
    old, new = (_text(value["old"]), _text(value["new"])) if usual else (None, _text(value))
    if any(text is not None and ("\n" in text or len(text) > SHORT) for text in (old, new)):
        return FieldChange(name, old, new, side_by_side(old or "", new or ""))
    return FieldChange(name, old, new)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
