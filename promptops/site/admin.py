"""The admin site: Django's own, under our name, with a navigation of ours."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.http import HttpRequest
from django.urls import reverse

from governance.admin.lookups import DeclaredLookups


class PromptOpsAdminSite(AdminSite):
    site_header = site_title = "PromptOps"
    index_title = "Home"
    site_url = None
    enable_nav_sidebar = False  # base_site.html has one of its own

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Also the admins of other packages are filtered by what they offer alone."""
        chosen = admin_class or ModelAdmin
        if not issubclass(chosen, DeclaredLookups):
            chosen = type(chosen.__name__, (DeclaredLookups, chosen), {"__module__": chosen.__module__})
        super().register(model_or_iterable, chosen, **options)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        # Here and not above: as in each_context.
        from governance.audit import denials

        return super().admin_view(denials.of_admin(view), cacheable)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # Here and not above: the admin modules register with this site, so they are loaded after it.
        from promptops.site.navigation import navigation

        context = super().each_context(request)
        allowed = context["has_permission"]
        context["debug_is_on"] = settings.DEBUG
        return {**context, "navigation": navigation(request, context["available_apps"]) if allowed else []}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Home: what matters now, from every app's panels."""
        # Here and not above: as in each_context.
        from governance.admin.base import actor_of
        from governance.admin.home import panels_for
        from promptops.server.probes import degraded

        facts = {"panels": panels_for(actor_of(request)), "degraded": degraded().items()}
        return super().index(request, {**facts, **(extra_context or {})})

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As Django's; what is open by this session ends with it."""
        # Here and not above: as in each_context.
        from governance.access import revision

        answer = super().logout(request, extra_context)
        revision.bump()
        return answer

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As Django's, with a form that saves through the service."""
        # Here and not above: as in each_context.
        from django.contrib.auth.views import PasswordChangeView

        from governance.identity.admin.users import OwnPasswordForm

        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            template_name="registration/password_change_form.html",
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)
