"""Workspaces: created, renamed, deleted when empty; `resolve` finds the one that a request is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils.text import slugify

from governance import audit
from governance.access import revision
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.core import registry
from governance.core.errors import ConflictError, InvalidInputError
from governance.core.models import changed
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Membership, Workspace

FIRST_ENVIRONMENTS = ("dev", "test", "prod")


@dataclass(frozen=True, slots=True)
class WorkspaceContent(registry.Entry):
    """A model whose rows live in workspaces: one that has some can't be deleted.

    `plural` is the word for them in API answers. The model's `workspace_path` and, if its rows live in environments,
    `environment_path` are the lookups that lead there.
    """

    plural: str
    model: type[Model]


def holdings(*, workspace: Workspace | None = None, environment: Environment | None = None) -> dict[str, int]:
    """How many rows of each WorkspaceContent a workspace or an environment has; those with none are left out."""
    counts: dict[str, int] = {}
    for content in registry.entries(WorkspaceContent):
        model = content.model
        manager: Any = model._default_manager
        if environment is not None:
            path = getattr(model, "environment_path", None)
            inside = manager.filter(**{model.workspace_path: environment.workspace_id})  # type: ignore[attr-defined]
            count = inside.filter(**{path: environment.name}).count() if path is not None else 0
        else:
            path = getattr(model, "workspace_path")  # noqa: B009  # every scoped model declares it
            count = manager.filter(**{path: workspace.pk}).count() if workspace else 0
        if count:
            counts[content.plural] = count
    return counts


def refuse_unless_empty(what: str, counts: Mapping[str, int]) -> None:
    """Raise ConflictError when there is something in what is to be deleted: `counts` are its `holdings`."""
    if counts:
        contents = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ConflictError(f"{what} still holds {contents}: delete them first", extra={"holds": counts})


def resolve(actor: Actor, workspace_id: str | None) -> Workspace:
    """The workspace of a request: the named one, else the token's, else `default`, else the first that the actor sees.

    Raises InvalidInputError for one that the actor can't see, whether it exists or not.
    """
    seen = visible_to(actor, Workspace.objects.all())
    if workspace_id is None:
        workspace_id = actor.workspace_id or DEFAULT_WORKSPACE
        workspace = seen.filter(pk=workspace_id).first() or seen.order_by("created_at", "pk").first()
    else:
        workspace = seen.filter(pk=workspace_id).first()
    if workspace is None:
        raise InvalidInputError.of("workspace_id", "there is no such workspace among yours")
    return workspace


@transaction.atomic
def create_workspace(
    *,
    actor: Actor,
    name: str,
    slug: str | None = None,
    id: str | None = None,  # noqa: A002
    **values: Any,
) -> Workspace:
    """A workspace with the first environments in it; whoever makes it becomes a member."""
    slug = _free_slug(slug, name)
    workspace = Workspace.objects.create(name=name, slug=slug, **({"pk": id} if id else {}), **values)
    Environment.objects.bulk_create(
        Environment(workspace=workspace, name=name, description="") for name in FIRST_ENVIRONMENTS
    )
    if actor.user_id is not None:
        Membership.objects.create(user_id=actor.user_id, workspace=workspace)
    audit.record(
        actor=actor,
        action="create",
        resource="workspace",
        resource_id=workspace.pk,
        key=slug,
        summary=f"Created workspace {name}",
        workspace_id=workspace.pk,
        changes=audit.created(
            name=name, slug=slug, keep_content=workspace.keep_content, content_days=workspace.content_days
        ),
    )
    return workspace


@transaction.atomic
def update_workspace(*, actor: Actor, workspace: Workspace, **values: Any) -> Workspace:
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    if "slug" in values and values["slug"] != workspace.slug:
        values["slug"] = _free_slug(values["slug"], workspace.name, but=workspace)
    changes = changed(workspace, values)
    if changes:
        workspace.save(update_fields=[*changes, "updated_at"])
        audit.record(
            actor=actor,
            action="update",
            resource="workspace",
            resource_id=workspace.pk,
            key=workspace.slug,
            summary=f"Changed {', '.join(changes)} of workspace {workspace.name}",
            workspace_id=workspace.pk,
            changes=changes,
        )
    return workspace


@transaction.atomic
def delete_workspace(*, actor: Actor, workspace: Workspace) -> None:
    """Delete an empty workspace, with its environments and tokens.

    Raises InvalidInputError for `default`, ConflictError while it holds something.
    """
    if workspace.pk == DEFAULT_WORKSPACE:
        raise InvalidInputError("the default workspace can't be deleted")
    workspace = Workspace.objects.select_for_update().get(pk=workspace.pk)
    refuse_unless_empty(f"workspace {workspace.name}", holdings(workspace=workspace))
    audit.record(
        actor=actor,
        action="delete",
        resource="workspace",
        resource_id=workspace.pk,
        key=workspace.slug,
        summary=f"Deleted workspace {workspace.name}",
        workspace_id=workspace.pk,
        changes=audit.deleted(name=workspace.name, slug=workspace.slug),
    )
    workspace.delete()
    revision.bump()  # its tokens went with it


def _free_slug(slug: str | None, name: str, but: Workspace | None = None) -> str:
    """`slug` if it is free, else ConflictError; without one, a free one made from `name`."""
    taken = Workspace.objects.exclude(pk=but.pk) if but else Workspace.objects.all()
    if slug is not None:
        if taken.filter(slug__iexact=slug).exists():
            raise ConflictError(f"a workspace with the slug {slug} exists already", fields={"slug": ["taken"]})
        return slug
    base = slugify(name)[:90] or "workspace"
    used = set(taken.filter(slug__istartswith=base).values_list("slug", flat=True))
    if base not in used:
        return base
    return next(f"{base}-{n}" for n in range(2, len(used) + 3) if f"{base}-{n}" not in used)


def refuse_move(workspace_id: str, wanted: str | None) -> None:
    """Raise InvalidInputError if `wanted` is another workspace: nothing can be moved between workspaces."""
    if wanted is not None and wanted != workspace_id:
        raise InvalidInputError.of("workspace_id", "nothing can be moved to another workspace; create it there instead")
