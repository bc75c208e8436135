"""The admin site: Django's own, under our name."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse


class PromptOpsAdminSite(AdminSite):
    site_header = site_title = "PromptOps"
    index_title = "Back office"
    site_url = None

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """As Django's, with a form that saves through the service."""
        # Here and not above: the admin modules register with this site, so they are loaded after it.
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
