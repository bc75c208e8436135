from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        # Here and not above: models need Django's registry of apps.
        from agents.providers.services import ProviderUsers
        from governance.admin.home import Panel
        from governance.core import registry
        from governance.realtime.runtime import RuntimeTask
        from governance.runs.log import ActiveRuns, RunSubject
        from governance.tenancy.workspaces import WorkspaceContent
        from workflows.admin import home
        from workflows.definition import usage
        from workflows.engine.supervisor import SupervisorTask
        from workflows.models import Workflow
        from workflows.runs import agent_tool, control, events
        from workflows.triggers import schedules

        registry.register(
            WorkspaceContent("workflows", Workflow),
            RunSubject("workflow", Workflow),
            ActiveRuns(control.active),
            ProviderUsers("workflows", usage.on_provider),
            SupervisorTask(schedules.tick),
            RuntimeTask(events.watch),
            agent_tool.KIND,
            Panel(
                title="Workflows that wait for approval",
                template="workflows/home/approvals.html",
                facts=home.waiting_for_approval,
                capability="workflow_run.read",
                place=20,
            ),
        )
