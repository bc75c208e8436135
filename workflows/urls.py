from rest_framework.routers import SimpleRouter

from workflows.views import WorkflowViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("workflows", WorkflowViewSet, "workflow")

urlpatterns = router.urls
