from django.urls import path
from rest_framework.routers import SimpleRouter

from governance.clients.views import ConnectionViewSet
from governance.history.views import AuditViewSet
from governance.identity.session_views import LoginView, LogoutView, MeView
from governance.identity.views import TokenViewSet, UserViewSet
from governance.runs.views import RunViewSet
from governance.tenancy.views import EnvironmentViewSet, WorkspaceViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("users", UserViewSet, "user")
router.register("tokens", TokenViewSet, "token")
router.register("workspaces", WorkspaceViewSet, "workspace")
router.register("environments", EnvironmentViewSet, "environment")
router.register("audit", AuditViewSet, "audit")
router.register("runs", RunViewSet, "run")
router.register("clients", ConnectionViewSet, "client")

urlpatterns = [
    path("login", LoginView.as_view()),
    path("logout", LogoutView.as_view()),
    path("me", MeView.as_view()),
    *router.urls,
]
