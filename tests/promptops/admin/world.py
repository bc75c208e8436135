"""One row of every kind, made as in life: by the services."""

from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.utils import timezone

from agents.models import AgentMessage, AgentSession
from agents.providers.services import create_provider
from agents.services import create_agent
from governance.access.actors import SYSTEM
from governance.access.models import AccessRevision
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.clients.models import Connection
from governance.core.models import ServerProcess
from governance.history.models import LogCount
from governance.identity import tokens
from governance.identity.models import LoginFailures, User
from governance.runs import log
from governance.runs.models import Run, RunContent, RunTally
from governance.tenancy.models import Environment, Membership, Workspace
from prompts import services
from prompts.models import PromptTag
from workflows.models import Delivery, StepAttempt, WorkflowWorker
from workflows.runs.control import start as start_run
from workflows.services import create_workflow
from workflows.services import publish as publish_workflow
from workflows.triggers.schedules import create_schedule
from workflows.triggers.webhooks import create_webhook

#: In every text that somebody can put in freely.
HOSTILE = "<script>alert('x')</script>"


def populate(workspace: Workspace, member: User, suffix: str = "") -> dict[type[Model], Any]:
    """Put one row of every kind into the workspace; returns them by their model. `suffix` tells names apart."""
    prod = Environment.objects.select_related("workspace").get(workspace=workspace, name="prod")
    prompt = services.create_prompt(
        actor=SYSTEM,
        environment=prod,
        key=f"greeting{suffix}",
        name=HOSTILE,
        category=HOSTILE,
        content=f"{HOSTILE} {{{{name}}}}\n\n  and more",
        config={"stop": HOSTILE},
        tags=[HOSTILE, "other tag"],
    )
    first = services.publish(actor=SYSTEM, prompt=prompt, note=HOSTILE)
    services.update_prompt(actor=SYSTEM, prompt=prompt, content=f"{HOSTILE} again")
    services.publish(actor=SYSTEM, prompt=prompt)
    rollout = services.set_rollout(
        actor=SYSTEM, prompt=prompt, values={"variant_a": "v1", "variant_b": "v2", "weight_a": 50.0, "enabled": False}
    )
    agent = create_agent(
        actor=SYSTEM,
        environment=prod,
        key=f"helper{suffix}",
        name=HOSTILE,
        description=HOSTILE,
        prompt=HOSTILE,
        model=HOSTILE,
    )
    conversation = AgentSession.objects.create(
        agent=agent, session_id=f"chat{suffix}", owner="static:x", actor=HOSTILE, turns=1
    )
    message = AgentMessage.objects.create(session=conversation, role="user", content=HOSTILE)
    provider = create_provider(
        actor=SYSTEM,
        name=f"house{suffix}".replace("xyzzy", "of-all"),  # every workspace sees it
        label=HOSTILE,
        base_url="https://model.example/v1",
        default_model=HOSTILE,
        api_key="sk-0123456789abcdef",
    )
    rendering = {"name": HOSTILE, "type": "render", "template": HOSTILE}
    workflow = create_workflow(
        actor=SYSTEM, workspace=workspace, key=f"chain{suffix}", name=HOSTILE, description=HOSTILE, steps=[rendering]
    )
    workflow_version = publish_workflow(actor=SYSTEM, workflow=workflow, note=HOSTILE)
    workflow.refresh_from_db()
    workflow_run = start_run(
        actor=SYSTEM, workflow=workflow, definition=workflow.definition, version="v1", variables={"input": HOSTILE}
    )
    workflow_run.error = HOSTILE
    workflow_run.save(update_fields=["error"])
    step = StepAttempt.objects.create(
        run=workflow_run,
        path="say",
        step_id="say",
        name=HOSTILE,
        type="render",
        number=1,
        output=HOSTILE,
        error=HOSTILE,
        started_at=timezone.now(),
        changed_at=timezone.now(),
    )
    schedule = create_schedule(actor=SYSTEM, workflow=workflow, name=f"{HOSTILE}{suffix}", cron="0 3 * * *")
    webhook, _ = create_webhook(actor=SYSTEM, workflow=workflow, name=f"{HOSTILE}{suffix}")
    delivery = Delivery.objects.create(webhook=webhook, signature="0" * 64, forget_at=timezone.now())
    token, _ = tokens.create_token(actor=SYSTEM, workspace=workspace, name=HOSTILE, role=Role.VIEWER)
    run = log.start(actor=SYSTEM, workspace_id=workspace.pk, source="agent", ref_key=HOSTILE, model=HOSTILE)
    workspace.keep_content = True
    workspace.save(update_fields=["keep_content"])
    log.fail(run, HOSTILE, prompt=HOSTILE, output=HOSTILE)
    logged = Run.objects.get(pk=run.id)
    now = timezone.now()
    process = ServerProcess.objects.create(host=HOSTILE, pid=1, started_at=now, seen_at=now + timedelta(hours=1))
    connection = Connection.objects.create(
        process=process,
        workspace=workspace,
        client_type=f"{HOSTILE[:20]}{suffix}",
        app=HOSTILE,
        actor=HOSTILE,
        user_agent=HOSTILE,
        connected_at=now,
    )
    failures = LoginFailures.objects.create(
        digest=f"x{suffix}", kind="name_at", username=HOSTILE, address="127.0.0.1", started_at=now, forgotten_at=now
    )
    rows: list[Any] = [
        workspace,
        prod,
        prompt,
        PromptTag.objects.filter(prompt=prompt).first(),
        first,
        rollout,
        agent,
        conversation,
        message,
        provider,
        workflow,
        workflow_version,
        workflow_run,
        step,
        WorkflowWorker.objects.create(pk=workflow_run.pk),
        schedule,
        webhook,
        delivery,
        token,
        logged,
        RunContent.objects.get(run=logged),
        log.rate(run=logged, actor=SYSTEM, score=1, comment=HOSTILE),
        RunTally.objects.filter(workspace_id=workspace.pk).first(),
        LogCount.objects.create(log="runs", workspace_id=workspace.pk, hour=now, count=1),
        process,
        connection,
        member,
        Membership.objects.filter(user=member).first(),
        AuditEntry.objects.get(resource_id=str(prompt.pk), action="create"),
        Change.objects.filter(resource_id=prompt.pk).first(),
        AccessRevision.objects.get_or_create(pk=1)[0],
        failures,
    ]
    return {type(row): row for row in rows}
