"""Conditional requests (RFC 9110, 13): `If-Match` on writes, `If-None-Match` on reads."""

import re

from rest_framework.request import Request

from governance.core.errors import PreconditionError

_TAG = re.compile(r'(?:W/)?"[^"]*"')


def tags_of(header: str) -> list[str]:
    return _TAG.findall(header)


def if_match(request: Request) -> str | None:
    """The request's `If-Match`, for a service to check once it holds the row's lock."""
    return request.META.get("HTTP_IF_MATCH")


def check_if_match(header: str | None, etag: str) -> None:
    """Raise PreconditionError unless `header` is absent, `*`, or lists `etag`.

    The comparison is weak, where RFC 9110 asks for a strong one: a proxy that compresses an answer makes its tag weak,
    and tags here name what a row says, not the bytes of an answer.
    """
    if header is None or matches_none(header, etag):
        return
    raise PreconditionError("somebody changed this since you read it: fetch it again, then repeat your change")


def none_match(request: Request, etag: str) -> bool:
    """Whether the client has this state already, so that 304 is the answer (weak comparison)."""
    return matches_none(request.META.get("HTTP_IF_NONE_MATCH", ""), etag)


def matches_none(header: str, etag: str) -> bool:
    """The same for the bare header."""
    if not header:
        return False
    bare = etag.removeprefix("W/")
    return header.strip() == "*" or any(tag.removeprefix("W/") == bare for tag in tags_of(header))
