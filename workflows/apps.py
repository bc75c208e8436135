from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    name = "workflows"
    verbose_name = "Workflows"

    def ready(self) -> None:
        from agents import provider_services, toolbox
        from governance import runs as log
        from governance.home import Panel, panels
        from governance.realtime import runtime
        from governance.services import workspaces
        from workflows import agent_tool, events, home, keeper, runs, schedules, usage
        from workflows.models import Workflow  # models need the app registry

        workspaces.CONTENTS["workflows"] = Workflow
        toolbox.register(agent_tool.KIND)
        provider_services.USERS["workflows"] = usage.on_provider
        log.SUBJECTS["workflow"] = Workflow
        log.KEPT.append(runs.going)
        keeper.CHORES.append(schedules.tick)
        runtime.companions.append(events.watch)
        waiting = Panel(
            title="Workflows that wait for approval",
            template="workflows/home/approvals.html",
            facts=home.waiting_for_approval,
            capability="workflow_run.read",
            place=20,
        )
        panels.append(waiting)
