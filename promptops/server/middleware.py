"""Middleware of every HTTP request."""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from governance.api.exceptions import json_error
from governance.core.errors import DomainError
from governance.core.logs import new_request_id, request_id
from governance.identity.addresses import address_of

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestGate:
    """Gives the request its id, and refuses an address with a NUL character."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        identity = new_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        token = request_id.set(identity)
        try:
            if "\0" in request.path or b"\0" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
                response: HttpResponseBase = json_error(400, "an address may hold no NUL character")
            else:
                response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = identity
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))  # Django gives one to what it let through
        return response


class Refusals:
    """Answers a DomainError outside of the API with its status: too many failed logins, or too many at once."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if not isinstance(exception, DomainError):
            return None
        if request.path_info.startswith("/admin/"):
            context = {**admin.site.each_context(request), "title": "Not now", "refusal": exception.message}
            response: HttpResponseBase = render(request, "promptops/refused.html", context, status=exception.status)
        else:
            response = json_error(exception.status, exception.message, exception.code)
        if exception.retry_after is not None:
            response["Retry-After"] = str(exception.retry_after)
        return response


class KnownProxy:
    """Answers with the missing setting where a proxy that is not trusted makes the back office unusable.

    It ends TLS and says so in X-Forwarded-Proto, which is not believed of it. To the server all requests are plain: it
    would redirect each to https again, and take each form for one from another site.
    """

    def __init__(self, get_response: GetResponse) -> None:
        if not settings.SESSION_COOKIE_SECURE:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_page = request.path_info == "/" or request.path_info.startswith("/admin/")
        if is_page and request.META.get("HTTP_X_FORWARDED_PROTO") == "https" and not request.is_secure():
            proxy = address_of(request) or "an unknown address"
            return json_error(421, f"a proxy at {proxy} says that this is https: name it in PROMPTOPS_TRUSTED_PROXIES")
        return self.get_response(request)


class ContentSecurityPolicy:
    """Pages run nothing but this site's own scripts. The API's page needs inline styles, so it alone may have them."""

    STRICT = (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    DOCS = STRICT + "; style-src 'self' 'unsafe-inline'"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            response["Content-Security-Policy"] = (
                self.DOCS if request.path_info.startswith("/api/docs") else self.STRICT
            )
        return response
