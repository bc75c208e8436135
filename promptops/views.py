"""What to say to whom is locked out, and to an address that there is none of."""

import math
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from governance.api.viewsets import ApiView
from governance.errors import NotFoundError


def locked_name(request: HttpRequest, credentials: Any = None) -> str:
    """The name that failed logins count against: users are found without regard to case, so that is all one."""
    given = credentials if credentials is not None else request.POST
    return str(given.get("username") or "").casefold()


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any = None) -> HttpResponse:
    """What axes answers after too many failed logins: a page in the admin; the API has said so itself, in JSON."""
    if request.path_info.startswith("/api/"):
        return response
    cooloff = timedelta(hours=settings.AXES_COOLOFF_TIME)
    context = {
        **admin.site.each_context(request),
        "title": "Too many failed logins",
        "minutes": math.ceil(cooloff / timedelta(minutes=1)),
    }
    page = render(request, "promptops/locked_out.html", context, status=429)
    page["Retry-After"] = str(int(cooloff.total_seconds()))
    return page


class NoSuchEndpoint(ApiView):
    """Any other address under /api: for who is logged in 404, in JSON like all the rest."""

    http_method_names = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise NotFoundError
