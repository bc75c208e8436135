from django.urls import path
from rest_framework.routers import SimpleRouter

from governance.views.logs import AuditViewSet, ConnectionViewSet, RunViewSet
from governance.views.people import TokenViewSet, UserViewSet
from governance.views.places import EnvironmentViewSet, WorkspaceViewSet
from governance.views.sessions import LoginView, LogoutView, MeView

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
