from django.urls import path
from rest_framework.routers import SimpleRouter

from workflows.runs.views import WorkflowRunViewSet
from workflows.triggers.views import HookView, ScheduleViewSet, WebhookViewSet
from workflows.views import WorkflowViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("workflows/runs", WorkflowRunViewSet, "workflow-run")
router.register("schedules", ScheduleViewSet, "schedule")
router.register("webhooks", WebhookViewSet, "webhook")
router.register("workflows", WorkflowViewSet, "workflow")

urlpatterns = [path("hooks/<uuid:pk>", HookView.as_view()), *router.urls]
