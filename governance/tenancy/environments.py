"""A workspace's environments: the stages that its prompts live in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from governance import audit
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.core import registry
from governance.core.errors import ConflictError, InvalidInputError
from governance.core.models import changed
from governance.tenancy.models import Environment, Workspace, new_epoch
from governance.tenancy.workspaces import holdings, refuse_unless_empty

RENAME_REFUSED = "an environment keeps its name, since applications fetch by it; make another one instead"


@dataclass(frozen=True, slots=True)
class PolicyListener(registry.Entry):
    """Called with an environment whose `require_publish` changed, in the transaction that changes it."""

    call: Callable[[Environment], None]


def resolve(workspace: Workspace, name: str, *, actor: Actor, field: str = "env") -> Environment:
    """The environment of that name. Raises InvalidInputError, which lists those that the actor sees."""
    seen = visible_to(actor, Environment.objects.filter(workspace=workspace).select_related("workspace"))
    found = seen.filter(name=name).first()
    if found is None:
        names = seen.order_by("created_at", "name").values_list("name", flat=True)
        raise InvalidInputError.of(
            field, f"there is no environment {name!r} in this workspace; expected one of: {', '.join(names)}"
        )
    return found


@transaction.atomic
def create_environment(
    *, actor: Actor, workspace: Workspace, name: str, description: str = "", require_publish: bool = False
) -> Environment:
    """A new environment, empty. Raises ConflictError when the name is taken."""
    if Environment.objects.filter(workspace=workspace, name=name).exists():
        raise ConflictError(f"this workspace has an environment {name} already", fields={"name": ["taken"]})
    environment = Environment.objects.create(
        workspace=workspace, name=name, description=description, require_publish=require_publish
    )
    audit.record(
        actor=actor,
        action="create",
        resource="environment",
        resource_id=environment.pk,
        key=name,
        summary=f"Created environment {name}",
        workspace_id=workspace.pk,
        changes=audit.created(name=name, description=description, require_publish=require_publish),
    )
    return environment


@transaction.atomic
def update_environment(*, actor: Actor, environment: Environment, **values: Any) -> Environment:
    """Change the description, or whether publishing is required: then the PolicyListeners are called."""
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)
    if values.pop("name", environment.name) != environment.name:
        raise InvalidInputError.of("name", RENAME_REFUSED)
    changes = changed(environment, values)
    if changes:
        environment.save(update_fields=[*changes, "updated_at"])
        audit.record(
            actor=actor,
            action="update",
            resource="environment",
            resource_id=environment.pk,
            key=environment.name,
            summary=f"Changed {', '.join(changes)} of environment {environment.name}",
            workspace_id=environment.workspace_id,
            changes=changes,
        )
        if "require_publish" in changes:
            for listener in registry.entries(PolicyListener):
                listener.call(environment)
            environment.refresh_from_db(fields=["revision", "served_revision"])
    return environment


@transaction.atomic
def delete_environment(*, actor: Actor, environment: Environment) -> None:
    """Delete an empty environment and its changes. Raises ConflictError while it holds something."""
    environment = Environment.objects.select_for_update().get(pk=environment.pk)
    refuse_unless_empty(f"environment {environment.name}", holdings(environment=environment))
    audit.record(
        actor=actor,
        action="delete",
        resource="environment",
        resource_id=environment.pk,
        key=environment.name,
        summary=f"Deleted environment {environment.name}",
        workspace_id=environment.workspace_id,
        changes=audit.deleted(name=environment.name, require_publish=environment.require_publish),
    )
    environment.delete()


@transaction.atomic
def renew_epochs(*, actor: Actor) -> int:
    """Begin a new line of revisions in every environment, after an older copy of the database was restored.

    Revisions that were handed out since the copy was made will be handed out again; with another epoch no client takes
    them for the ones it knows, and each is sent a snapshot. Returns how many environments there are.
    """
    environments = list(Environment.objects.select_for_update(no_key=True).order_by("pk"))
    for environment in environments:
        environment.epoch = new_epoch()
        environment.save(update_fields=["epoch"])
    audit.record(
        actor=actor,
        action="renew",
        resource="epoch",
        resource_id="all",
        summary=f"Began a new epoch in {len(environments)} environments",
        workspace_id=None,
    )
    return len(environments)
