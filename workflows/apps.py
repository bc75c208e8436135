from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        from governance import runs
        from governance.services import workspaces
        from workflows.models import Workflow  # models need the app registry

        workspaces.CONTENTS["workflows"] = Workflow
        runs.SUBJECTS["workflow"] = Workflow
