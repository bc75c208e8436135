"""What every HTTP request passes first and last."""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from governance.api.exceptions import json_error
from governance.logs import new_request_id, request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestGate:
    """Gives the request its id, and turns away what no view should have to think about: NUL in an address."""

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
