"""The admin site: Django's own, under our name, with a navigation of ours."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse


class PromptOpsAdminSite(AdminSite):
    site_header = site_title = "PromptOps"
    index_title = "Home"
    site_url = None
    enable_nav_sidebar = False  # base_site.html has one of its own

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # Here and not above: the admin modules register with this site, so they are loaded after it.
        from promptops.navigation import navigation

        context = super().each_context(request)
        allowed = context["has_permission"]
        context["debug_is_on"] = settings.DEBUG
        return {**context, "navigation": navigation(request, context["available_apps"]) if allowed else []}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Home: what matters now, from every app's panels."""
        # Here and not above: as in each_context.
        from governance.admin.base import actor_of
        from governance.home import panels_for
        from promptops.views import degraded

        facts = {"panels": panels_for(actor_of(request)), "degraded": degraded().items()}
        return super().index(request, {**facts, **(extra_context or {})})

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As Django's, with a form that saves through the service."""
        # Here and not above: as in each_context.
        from django.contrib.auth.views import PasswordChangeView

        from governance.admin.people import OwnPasswordForm

        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            template_name="registration/password_change_form.html",
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)
