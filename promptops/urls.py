"""Every address of the server."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from governance.api.exceptions import json_error
from governance.core.logs import request_id
from promptops.site import views
from promptops.site.metrics import metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("metrics", metrics),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/", include("governance.urls")),
    path("api/", include("prompts.urls")),
    path("api/", include("agents.urls")),
    path("api/", include("workflows.urls")),
    re_path(r"^api(?:/.*)?$", views.NoSuchEndpoint.as_view()),
    path("admin/", include("agents.playground.urls")),
    path("admin/", admin.site.urls),
]


def _error(request: HttpRequest, status: int, sentence: str) -> HttpResponseBase:
    """For people at the admin a page, which asks no database; JSON for all others."""
    if not request.path_info.startswith("/admin/"):
        return json_error(status, sentence)
    context = {"title": sentence.capitalize(), "site_title": admin.site.site_title, "request_id": request_id.get()}
    return HttpResponse(render_to_string("promptops/error.html", context), status=status)


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _error(request, 400, "bad request")


def handler403(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _error(request, 403, "forbidden")


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _error(request, 404, "not found")


def handler500(request: HttpRequest) -> HttpResponseBase:
    return _error(request, 500, "internal error: report it with this request_id")
