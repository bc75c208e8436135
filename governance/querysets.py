"""Access as a queryset: which rows somebody can see, said once."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from governance.actors import Actor
from governance.models import Membership

M = TypeVar("M", bound=Model)


def visible_to(actor: Actor, queryset: QuerySet[M]) -> QuerySet[M]:
    """The rows of `queryset` that `actor` may know of. One query more: none, memberships are a subquery.

    The model says by `workspace_path` (and `environment_path`) how to get to its workspace (and environment).
    """
    model = queryset.model
    path: str = getattr(model, "workspace_path")  # noqa: B009  # every scoped model declares it
    if actor.workspace_id is not None:
        queryset = queryset.filter(**{path: actor.workspace_id})
        environment_path: str | None = getattr(model, "environment_path", None)
        if actor.environment and environment_path is not None:
            queryset = queryset.filter(**{f"{environment_path}name": actor.environment})
        return queryset
    if actor.sees_all:
        return queryset
    if actor.user_id is None:
        return queryset.none()
    memberships = Membership.objects.filter(user_id=actor.user_id).values("workspace_id")
    return queryset.filter(**{f"{path}__in": memberships})
