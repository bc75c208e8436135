"""Access as a queryset: the one place that decides which rows an actor can see."""

from typing import TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

from governance.access.actors import Actor

M = TypeVar("M", bound=Model)


def visible_to(actor: Actor, queryset: QuerySet[M]) -> QuerySet[M]:
    """The rows of `queryset` that `actor` may see. It costs no query of its own: memberships are a subquery.

    The model's `workspace_path` is the lookup of a row's workspace. Two more are for tokens of one environment:
    `environment_path` is the lookup of the name of the row's environment, and `owner_path` that of the identity of the
    actor who made the row, who may see it in any environment.
    """
    model = queryset.model
    path: str = getattr(model, "workspace_path")  # noqa: B009  # every scoped model declares it
    if actor.workspace_id is not None:
        queryset = queryset.filter(**{path: actor.workspace_id})
        return queryset.filter(_within_environment(actor, model)) if actor.environment else queryset
    if actor.sees_all:
        return queryset
    if actor.user_id is None:
        return queryset.none()
    memberships = get_user_model().workspaces.through.objects  # type: ignore[attr-defined]  # governance.identity's User
    return queryset.filter(**{f"{path}__in": memberships.filter(user_id=actor.user_id).values("workspace_id")})


def _within_environment(actor: Actor, model: type[Model]) -> Q:
    environment_path: str | None = getattr(model, "environment_path", None)
    owner_path: str | None = getattr(model, "owner_path", None)
    if environment_path is None:
        return Q()  # rows of this kind belong to the whole workspace
    within = Q(**{environment_path: actor.environment})
    return within | Q(**{owner_path: actor.identity}) if owner_path else within
