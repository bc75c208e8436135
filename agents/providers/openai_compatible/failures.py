"""Reads what a provider says about a failure, in any of the forms in use. Pure; no type is taken for granted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_MAX_TEXT = 2_000
_MAX_DEPTH = 5
#: Names under which an object has the reason, the most specific first.
_REASON_NAMES = (
    *("message", "error", "detail", "msg", "error_message", "error_msg", "errors", "description", "reason", "title"),
    *("type", "code"),
)
#: Names that make an object without choices an error.
_ERROR_NAMES = ("detail", "errors", "message", "msg", "error_message", "error_msg")
_STATUS_NAMES = ("code", "status", "status_code", "statusCode", "type")
#: Names of failures that may pass, letters only, with the HTTP status that each stands for.
_STATUS_OF = {
    **dict.fromkeys(("ratelimit", "ratelimiterror", "ratelimitexceeded", "toomanyrequests", "resourceexhausted"), 429),
    **dict.fromkeys(("servererror", "internalservererror", "internalerror", "internal", "apierror"), 500),
    **dict.fromkeys(("badgateway", "upstreamerror"), 502),
    **dict.fromkeys(("overloaded", "overloadederror", "serveroverloaded"), 503),
    **dict.fromkeys(("unavailable", "serviceunavailable", "serviceunavailableerror"), 503),
    **dict.fromkeys(("timeout", "timeouterror", "gatewaytimeout", "deadlineexceeded"), 504),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider's reason, and the HTTP status that the failure stands for, if that is known."""

    reason: str
    status: int | None = None

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.status is not None and (self.status in {408, 429} or self.status >= 500)


def failure_in(value: Any) -> Failure | None:
    """The failure in an answer or in an event of a stream; None when there is none."""
    if isinstance(value, list):
        return next((found for one in value[:8] if isinstance(one, dict) and (found := failure_in(one))), None)
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if error:
        return _failure(error, value)
    if "error" in (value.get("object"), value.get("type")):
        return _failure(value)
    choices = value.get("choices")
    if choices:
        first = choices[0] if isinstance(choices, list) else None
        inner = first.get("error") if isinstance(first, dict) else None
        return _failure(inner, first) if inner else None
    if any(_reason(value.get(name), 1) for name in _ERROR_NAMES):
        return _failure(value)
    return None


def failure_of(text: str) -> Failure:
    """The failure that a text describes, which is known to be one: JSON of any shape, a page, or plain words."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Failure(_line(text))
    return failure_in(value) or Failure(_reason(value, 0))


def _failure(*values: Any) -> Failure:
    """The first reason and the first status that the values have."""
    reason = next((found for value in values if (found := _reason(value, 0))), "")
    objects = [value for value in values if isinstance(value, dict)]
    return Failure(reason, next((status for one in objects if (status := _status(one)) is not None), None))


def _status(error: dict[str, Any]) -> int | None:
    for name in _STATUS_NAMES:
        code = error.get(name)
        if isinstance(code, str):
            code = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else _STATUS_OF.get(_letters(code))
        if type(code) is int and 400 <= code <= 599:
            return code
    return None


def _letters(name: str) -> str:
    return "".join(letter for letter in name[:50].lower() if letter.isalpha())


def _reason(value: Any, depth: int) -> str:
    """The reason in a value of any shape; empty when there is none."""
    if isinstance(value, str):
        return _line(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:50]
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_reason(one, depth + 1) for one in value[:3])))
    if not isinstance(value, dict):
        return ""
    reason = next((found for name in _REASON_NAMES if (found := _reason(value.get(name), depth + 1))), "")
    metadata = value.get("metadata")  # where OpenRouter has the error of the provider behind it
    raw = _reason(metadata.get("raw"), depth + 1) if isinstance(metadata, dict) else ""
    return f"{reason} ({raw})" if raw and raw not in reason else reason


def _line(text: str) -> str:
    """The text in one line; of a page its title, or what it shows."""
    text = " ".join(text.split())[:_MAX_TEXT]
    if not text.startswith("<"):
        return text
    title = text.lower().partition("<title>")[2].partition("</title>")[0]
    if title.strip():
        start = text.lower().index("<title>") + len("<title>")
        return " ".join(text[start : start + len(title)].split())
    return " ".join(" ".join(_text_outside_tags(text)).split())


def _text_outside_tags(text: str) -> Iterable[str]:
    return (piece.partition(">")[2] for piece in text.split("<"))
