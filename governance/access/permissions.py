"""Who may do what: one table from capability to least role. The API, the WebSocket and the admin all read it."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from governance.access.actors import Actor
from governance.access.roles import Role
from governance.core.errors import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from rest_framework.views import APIView


VIEWER, EDITOR, ADMIN = Role.VIEWER, Role.EDITOR, Role.ADMIN

LEAST_ROLE: dict[str, Role] = {
    "session.read": VIEWER,
    "session.delete": VIEWER,
    "prompt.read": VIEWER,
    "prompt.write": EDITOR,
    "agent.read": VIEWER,
    "agent.run": VIEWER,
    "agent.write": EDITOR,
    "conversation.read": ADMIN,
    "workflow.read": VIEWER,
    "workflow.run": VIEWER,
    "workflow.write": EDITOR,
    "workflow_run.read": VIEWER,
    "workflow_run.cancel": EDITOR,
    "workflow_run.resume": EDITOR,
    "workflow_run.decide": EDITOR,
    "workflow_run.change": EDITOR,
    "schedule.read": VIEWER,
    "schedule.write": EDITOR,
    "webhook.read": VIEWER,
    "webhook.write": EDITOR,
    "delivery.read": EDITOR,
    "provider.read": ADMIN,
    "provider.write": ADMIN,
    "playground.read": VIEWER,
    "playground.run": VIEWER,
    "stream.read": VIEWER,
    "audit.read": VIEWER,
    "run.read": VIEWER,
    "run.feedback": VIEWER,
    "client.read": VIEWER,
    "workspace.read": VIEWER,
    "workspace.write": EDITOR,
    "workspace.create": EDITOR,
    "workspace.delete": ADMIN,
    "environment.read": VIEWER,
    "environment.write": ADMIN,
    "token.read": ADMIN,
    "token.write": ADMIN,
    "user.read": ADMIN,
    "user.write": ADMIN,
}

#: These reach beyond one workspace, so a credential that is bound to one can't have them, whatever its role.
BEYOND_ONE_WORKSPACE = {
    "user.read",
    "user.write",
    "workspace.create",
    "workspace.delete",
    "provider.read",
    "provider.write",
}

#: These reach beyond one environment, so a token that is bound to one can't have them. The audit log has the texts of
#: prompts without their environments. A workflow belongs to the whole workspace: users and schedules that run it may
#: see more than the token that wrote it.
BEYOND_ONE_ENVIRONMENT = {"workspace.write", "environment.write", "token.write", "audit.read", "workflow.write"}

#: The resource, as capabilities name it, of each model in the admin. A model that is not listed is for admins.
ADMIN_MODELS: dict[str, str] = {
    "prompts.prompt": "prompt",
    "prompts.promptversion": "prompt",
    "prompts.prompttag": "prompt",
    "prompts.rollout": "prompt",
    "agents.agent": "agent",
    "agents.agentsession": "conversation",
    "agents.agentmessage": "conversation",
    "agents.modelprovider": "provider",
    "workflows.workflow": "workflow",
    "workflows.workflowrun": "workflow_run",
    "workflows.stepattempt": "workflow_run",
    "workflows.delivery": "delivery",
    "workflows.schedule": "schedule",
    "workflows.webhook": "webhook",
    "workflows.workflowversion": "workflow",
    "governance.workspace": "workspace",
    "governance.environment": "environment",
    "governance.user": "user",
    "governance.membership": "user",
    "governance.token": "token",
    "governance.auditentry": "audit",
    "governance.change": "audit",
    "governance.run": "run",
    "governance.runcontent": "run",
    "governance.runfeedback": "run",
    "governance.runtally": "run",
    "governance.logcount": "run",
    "governance.connection": "client",
    "governance.serverprocess": "client",
}


def may(actor: Actor, capability: str) -> bool:
    """Whether `actor` has `capability`; one that is not in the table is a KeyError, so that none is forgotten."""
    if actor.workspace_id is not None and capability in BEYOND_ONE_WORKSPACE:
        return False
    if actor.environment is not None and capability in BEYOND_ONE_ENVIRONMENT:
        return False
    return actor.role.covers(LEAST_ROLE[capability])


def require(actor: Actor, capability: str) -> None:
    """Raise ForbiddenError unless `actor` has `capability`."""
    if may(actor, capability):
        return
    if actor.role.covers(LEAST_ROLE[capability]):
        raise ForbiddenError(
            f"forbidden: this token is bound to one {'environment' if actor.environment else 'workspace'}"
        )
    raise ForbiddenError(f"forbidden: requires {LEAST_ROLE[capability].value} role")


def allows_model_permission(role: Role, permission: str) -> bool:
    """The same table for the Django admin, which asks for `<app>.<view|add|change|delete>_<model>`."""
    app, _, name = permission.partition(".")
    verb, _, model = name.partition("_")
    resource = ADMIN_MODELS.get(f"{app}.{model}")
    if resource is None:
        return role is ADMIN
    wanted = {"view": "read", "add": "create"}.get(verb, verb)
    least = LEAST_ROLE.get(f"{resource}.{wanted}") or LEAST_ROLE.get(f"{resource}.write")
    return least is not None and role.covers(least)


class HasCapability(BasePermission):
    """Lets a request through if its actor has the capability that the view's action needs."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.user, Actor):
            raise UnauthorizedError("unauthorized: send a valid token as `Authorization: Bearer <token>`")
        capability: str | None = view.capability()  # ApiView and RowsViewSet have it
        if capability is not None:
            require(request.user, capability)
        return True
