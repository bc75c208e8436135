from django.urls import path
from rest_framework.routers import SimpleRouter

from agents.views import AgentViewSet, ModelProviderViewSet, PlaygroundView, ProvidersView

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("agents", AgentViewSet, "agent")
router.register("providers", ModelProviderViewSet, "provider")

urlpatterns = [
    path("playground/run", PlaygroundView.as_view()),
    path("playground/providers", ProvidersView.as_view()),
    *router.urls,
]
