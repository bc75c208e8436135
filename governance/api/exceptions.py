"""Every error's status and body, in one place.

The body is `{"error": sentence, "code": word, "request_id": id}`, with `fields` when input fields are at fault.
"""

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError, connection
from django.http import Http404, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from governance.audit import denials
from governance.core.db import conflict_of
from governance.core.errors import DomainError
from governance.core.logs import request_id

logger = logging.getLogger("promptops.api")

_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "too_many_attempts",
}


#: Sentences for a constraint that failed though a service had checked the same rule a moment before.
RACED = {
    "taken": "conflict: somebody else took this name, or added the same, at the same time: look again",
    "referred": "conflict: somebody else deleted what this refers to, or began to use it, at the same time: look again",
}


def body(error: str, code: str, fields: Any = None, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The error's body, as the contract has it."""
    result: dict[str, Any] = {"error": error, "code": code, "request_id": request_id.get()}
    if fields:
        result["fields"] = fields
    return {**result, **(extra or {})}


def json_error(status: int, error: str, code: str | None = None, **headers: str) -> JsonResponse:
    """The same body outside DRF: for middleware and Django's own handlers."""
    content = body(error, code or _CODES.get(status, "error"))
    return JsonResponse(content, status=status, headers=headers, content_type="application/json; charset=utf-8")


def handle(exception: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: nothing gets past it, so nothing under /api is ever answered in HTML."""
    set_rollback()
    if isinstance(exception, DomainError):
        if exception.status == 403 and "request" in context:
            denials.of_api(context["request"], context["view"], exception.message)
        headers = {"Retry-After": str(exception.retry_after)} if exception.retry_after is not None else {}
        if exception.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        content = body(exception.message, exception.code, exception.fields, exception.extra)
        return Response(content, status=exception.status, headers=headers)
    if isinstance(exception, Http404):
        return Response(body("not found", "not_found"), status=404)
    if isinstance(exception, PermissionDenied):
        return Response(body("forbidden", "forbidden"), status=403)
    if isinstance(exception, RequestDataTooBig):
        return Response(body("the request body is over the limit", _CODES[413]), status=413)
    if isinstance(exception, drf.ValidationError):
        return Response(_invalid(exception), status=400)
    if isinstance(exception, drf.APIException):
        return _of_drf(exception)
    if isinstance(exception, DatabaseError | InterfaceError):
        return _of_database(exception)
    logger.error("unexpected error", exc_info=exception)
    return Response(body("internal error: report it with this request_id", "internal"), status=500)


def unavailable() -> tuple[dict[str, Any], dict[str, str]]:
    return body("the database is busy or down: try again", "unavailable"), {"Retry-After": "1"}


def _invalid(exception: drf.ValidationError) -> dict[str, Any]:
    detail = exception.detail
    if not isinstance(detail, dict):
        return body(_first(detail), "invalid")
    fields = {str(name): problem if isinstance(problem, list | dict) else [problem] for name, problem in detail.items()}
    whole = fields.pop(api_settings.NON_FIELD_ERRORS_KEY, None)  # the body itself is at fault, and no field of it
    if whole is not None:
        return body(_first(whole), "invalid", fields)
    name, problem = next(iter(fields.items()))
    return body(f"{name}: {_first(problem)}", "invalid", fields)


def _first(problem: Any) -> str:
    """The first sentence in DRF's nest of error details."""
    while isinstance(problem, dict | list):
        if not problem:
            return "invalid"
        if isinstance(problem, dict):
            name, inner = next(iter(problem.items()))
            return f"{name}: {_first(inner)}"
        problem = next((item for item in problem if item), problem[0])
    return str(problem)


def _of_drf(exception: drf.APIException) -> Response:
    status = exception.status_code
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body(_first(exception.detail), _CODES.get(status, "error")), status=status, headers=headers)


def _of_database(exception: Exception) -> Response:
    if isinstance(exception, IntegrityError):
        # Two writers raced: the rule that a service checks first is a constraint too, and it held.
        kind = conflict_of(exception)
        if kind != "refused":
            logger.warning("constraint held: %s", exception)
            return Response(body(RACED[kind], "conflict"), status=409)
        logger.error("a service let through what no row may hold", exc_info=exception)
        return Response(body("internal error: report it with this request_id", "internal"), status=500)
    if isinstance(exception, DataError):
        logger.warning("the database refused a value: %s", exception)
        return Response(body("a value is out of the range that can be stored", "invalid"), status=400)
    if isinstance(exception, OperationalError | InterfaceError):
        logger.error("database unavailable: %s", exception)
        if not connection.in_atomic_block:
            connection.close()  # a broken connection must not meet the next request of this thread
        content, headers = unavailable()
        return Response(content, status=503, headers=headers)
    logger.error("unexpected database error", exc_info=exception)
    return Response(body("internal error: report it with this request_id", "internal"), status=500)
