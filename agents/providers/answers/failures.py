"""What a provider says about a failure, in whichever of its many forms. Pure; no type is taken for granted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_MAX_TEXT = 2_000
_MAX_DEPTH = 5
#: Where a reason stands in an object, the most telling first.
_SAID_IN = (
    *("message", "error", "detail", "msg", "error_message", "error_msg", "errors", "description", "reason", "title"),
    *("type", "code"),
)
#: What makes an object without choices an error.
_ERRORS_HAVE = ("detail", "errors", "message", "msg", "error_message", "error_msg")
_CODES = ("code", "status", "status_code", "statusCode", "type")
#: Names of failures that pass, letters only, with the status that each would have had.
_PASSING = {
    **dict.fromkeys(("ratelimit", "ratelimiterror", "ratelimitexceeded", "toomanyrequests", "resourceexhausted"), 429),
    **dict.fromkeys(("servererror", "internalservererror", "internalerror", "internal", "apierror"), 500),
    **dict.fromkeys(("badgateway", "upstreamerror"), 502),
    **dict.fromkeys(("overloaded", "overloadederror", "serveroverloaded"), 503),
    **dict.fromkeys(("unavailable", "serviceunavailable", "serviceunavailableerror"), 503),
    **dict.fromkeys(("timeout", "timeouterror", "gatewaytimeout", "deadlineexceeded"), 504),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What was said, and the HTTP status that it means, if that can be told."""

    reason: str
    status: int | None = None

    @property
    def passes(self) -> bool:
        """Whether the same call may go well a moment later."""
        return self.status is not None and (self.status in {408, 429} or self.status >= 500)


def failure_in(value: Any) -> Failure | None:
    """The failure that an answer, or an event of a stream, tells of; None when it tells of none."""
    if isinstance(value, list):
        return next((found for one in value[:8] if isinstance(one, dict) and (found := failure_in(one))), None)
    if not isinstance(value, dict):
        return None
    told = value.get("error")
    if told:
        return _failure(told, value)
    if "error" in (value.get("object"), value.get("type")):
        return _failure(value)
    choices = value.get("choices")
    if choices:
        first = choices[0] if isinstance(choices, list) else None
        inner = first.get("error") if isinstance(first, dict) else None
        return _failure(inner, first) if inner else None
    if any(_said(value.get(name), 1) for name in _ERRORS_HAVE):
        return _failure(value)
    return None


def failure_of(text: str) -> Failure:
    """The failure that a text is about which was sent as one: JSON of any shape, a page, or words."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Failure(_words(text))
    return failure_in(value) or Failure(_said(value, 0))


def _failure(*told: Any) -> Failure:
    reason = next((said for one in told if (said := _said(one, 0))), "")
    holders = [one for one in told if isinstance(one, dict)]
    return Failure(reason, next((status for one in holders if (status := _status(one)) is not None), None))


def _status(told: dict[str, Any]) -> int | None:
    for name in _CODES:
        code = told.get(name)
        if isinstance(code, str):
            code = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else _PASSING.get(_letters(code))
        if type(code) is int and 400 <= code <= 599:
            return code
    return None


def _letters(name: str) -> str:
    return "".join(letter for letter in name[:50].lower() if letter.isalpha())


def _said(value: Any, depth: int) -> str:
    """The words in it, or nothing."""
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:50]
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(one, depth + 1) for one in value[:3])))
    if not isinstance(value, dict):
        return ""
    reason = next((said for name in _SAID_IN if (said := _said(value.get(name), depth + 1))), "")
    further = value.get("metadata")  # where OpenRouter has what the provider behind it said
    raw = _said(further.get("raw"), depth + 1) if isinstance(further, dict) else ""
    return f"{reason} ({raw})" if raw and raw not in reason else reason


def _words(text: str) -> str:
    """The text in one line; of a page its title, or what it shows."""
    text = " ".join(text.split())[:_MAX_TEXT]
    if not text.startswith("<"):
        return text
    title = text.lower().partition("<title>")[2].partition("</title>")[0]
    if title.strip():
        start = text.lower().index("<title>") + len("<title>")
        return " ".join(text[start : start + len(title)].split())
    return " ".join(" ".join(_outside_of_tags(text)).split())


def _outside_of_tags(text: str) -> Iterable[str]:
    return (piece.partition(">")[2] for piece in text.split("<"))
