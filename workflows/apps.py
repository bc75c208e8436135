from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        from agents.providers import services
        from agents.runtime import toolbox
        from governance.admin.home import Panel, panels
        from governance.realtime import runtime
        from governance.runs import log
        from governance.tenancy import workspaces
        from workflows.admin import home
        from workflows.definition import usage
        from workflows.engine import supervisor
        from workflows.models import Workflow  # models need the app registry
        from workflows.runs import agent_tool, control, events
        from workflows.triggers import schedules

        workspaces.CONTENTS["workflows"] = Workflow
        toolbox.register(agent_tool.KIND)
        services.USERS["workflows"] = usage.on_provider
        log.SUBJECTS["workflow"] = Workflow
        log.KEPT.append(control.active)
        supervisor.CHORES.append(schedules.tick)
        runtime.companions.append(events.watch)
        waiting = Panel(
            title="Workflows that wait for approval",
            template="workflows/home/approvals.html",
            facts=home.waiting_for_approval,
            capability="workflow_run.read",
            place=20,
        )
        panels.append(waiting)
