from django.urls import path
from rest_framework.routers import SimpleRouter

from agents.views import AgentViewSet, PlaygroundView, ProvidersView

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("agents", AgentViewSet, "agent")

urlpatterns = [
    path("playground/run", PlaygroundView.as_view()),
    path("playground/providers", ProvidersView.as_view()),
    *router.urls,
]
