from django.urls import path
from rest_framework.routers import SimpleRouter

from prompts.delivery.views import EnvironmentFetchView, PromptFetchView
from prompts.views import PromptViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("prompts", PromptViewSet, "prompt")

urlpatterns = [
    path("sdk/prompts", EnvironmentFetchView.as_view()),
    path("sdk/prompts/<path:key>", PromptFetchView.as_view()),
    *router.urls,
]
