"""JSON as both databases can carry it: bounded in size and depth, no NUL, no lone surrogates, no NaN."""

import json
import re
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class PayloadTooLarge(APIException):
    status_code = 413
    default_code = "payload_too_large"

    def __init__(self) -> None:
        super().__init__(f"the request body is over the limit of {settings.PROMPTOPS_MAX_BODY_BYTES} bytes")


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.PROMPTOPS_MAX_BODY_BYTES
        try:
            raw: bytes = stream.read(limit + 1)
        except RequestDataTooBig:
            raise PayloadTooLarge from None
        if len(raw) > limit:
            raise PayloadTooLarge
        return loads(raw)


def loads(raw: bytes | str) -> Any:
    """`raw` as JSON (RFC 8259). Raises ParseError with a sentence that says what is wrong with it."""
    try:
        # Left to itself, the package would guess among UTF-8, UTF-16 and UTF-32, and let lone surrogates through.
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_float, object_pairs_hook=_object)
    except RecursionError:
        raise ParseError(_too_deep()) from None
    except UnicodeDecodeError:
        raise ParseError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ParseError(f"the body is not valid JSON: {error}") from None
    except ValueError:  # what Python says here is for programmers
        raise ParseError("the body is not valid JSON: it holds a number of too many digits") from None
    _check(value)
    return value


def unstorable(text: str) -> bool:
    """Whether `text` holds what no database column takes: NUL or a lone surrogate."""
    return _UNSTORABLE.search(text) is not None


def storable(text: str) -> str:
    """`text` with a mark in place of each character that no database column takes."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _check(value: Any) -> None:
    """Walk without recursion: the walk must not be what a deep body breaks."""
    limit = settings.PROMPTOPS_MAX_JSON_DEPTH
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            if unstorable(item):
                raise ParseError("text may hold no NUL character and no lone surrogate")
            continue
        if isinstance(item, dict):
            children = [*item.keys(), *item.values()]
        elif isinstance(item, list):
            children = item
        else:
            continue
        if depth > limit:
            raise ParseError(_too_deep())
        waiting.extend((child, depth + 1) for child in children)


def _too_deep() -> str:
    return f"the body is nested deeper than {settings.PROMPTOPS_MAX_JSON_DEPTH} levels"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members have names of their own: of two values for one name, one would be lost without a word."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ParseError(f"the body is not valid JSON: the name {name[:100]!r} is there twice")
        result[name] = value
    return result


def _refuse_constant(name: str) -> Any:
    raise ParseError(f"the body is not valid JSON: {name} is not a JSON number")


def _float(text: str) -> float | int:
    """A number that reads back as itself from a jsonb column, which writes out exponents and drops the sign of zero."""
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ParseError(f"the body is not valid JSON: the number {text[:20]} is out of range")
    if number == 0:
        return 0.0
    return int(number) if "e+" in repr(number) else number
