"""Users: created, changed and deleted, with their roles and the workspaces that they see."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from governance import audit
from governance.access import revision
from governance.access.actors import SYSTEM, Actor
from governance.access.roles import Role
from governance.core.errors import ConflictError, InvalidInputError
from governance.core.models import changed
from governance.identity import names
from governance.identity.models import Token, User
from governance.tenancy.models import DEFAULT_WORKSPACE, Membership, Workspace


@transaction.atomic
def create_user(
    *,
    actor: Actor,
    username: str,
    password: str,
    role: str = Role.VIEWER,
    is_active: bool = True,
    workspaces: Iterable[str] | None = None,
) -> User:
    """A new user, a member of `workspaces` (ids), else of `default`.

    Raises ConflictError for a taken name, InvalidInputError for a weak password or an unknown workspace.
    """
    _check_username(username)
    user = User(username=username, role=role, is_active=is_active)
    _set_password(user, password)
    user.save(force_insert=True)
    ids = _set_workspaces(user, [DEFAULT_WORKSPACE] if workspaces is None else workspaces)
    audit.record(
        actor=actor,
        action="create",
        resource="user",
        resource_id=user.pk,
        key=username,
        summary=f"Created user {username} as {role}",
        workspace_id=None,
        changes=audit.created(username=username, role=str(role), is_active=is_active, workspaces=ids),
    )
    return user


def create_admin(username: str, password: str) -> User:
    """For `manage.py createsuperuser`."""
    return create_user(actor=SYSTEM, username=username, password=password, role=Role.ADMIN)


@transaction.atomic
def update_user(*, actor: Actor, user: User, **values: Any) -> User:
    """Change name, role, password, is_active or workspaces. A new password or being shut out ends all sessions.

    Raises ConflictError when it would leave no admin.
    """
    _lock_admins()
    user = User.objects.select_for_update().get(pk=user.pk)
    was_admin = _is_working_admin(user)
    password: str | None = values.pop("password", None)
    workspaces: Iterable[str] | None = values.pop("workspaces", None)
    if "username" in values and values["username"] != user.username:
        _check_username(values["username"], but=user)
    changes = changed(user, values)
    if password is not None:
        _set_password(user, password)
        changes["password"] = {"old": "(hidden)", "new": "(hidden)"}
    if was_admin and not _is_working_admin(user):
        _refuse_without_admin(user, "demoted" if user.is_active else "shut out")
    if changes:
        user.save(update_fields=[*changes, "updated_at"])
    if workspaces is not None:
        old = _workspace_ids(user)
        new = _set_workspaces(user, workspaces)
        if old != new:
            changes["workspaces"] = {"old": old, "new": new}
    if not changes:
        return user
    if password is not None or not user.is_active:
        Token.objects.filter(user=user).delete()
    revision.bump()
    audit.record(
        actor=actor,
        action="update",
        resource="user",
        resource_id=user.pk,
        key=user.username,
        summary=f"Changed {', '.join(changes)} of user {user.username}",
        workspace_id=None,
        changes=changes,
    )
    return user


@transaction.atomic
def delete_user(*, actor: Actor, user: User) -> None:
    """Delete a user with their sessions. Raises ConflictError for the last admin."""
    _lock_admins()
    user = User.objects.select_for_update().get(pk=user.pk)
    if _is_working_admin(user):
        _refuse_without_admin(user, "deleted")
    audit.record(
        actor=actor,
        action="delete",
        resource="user",
        resource_id=user.pk,
        key=user.username,
        summary=f"Deleted user {user.username}",
        workspace_id=None,
        changes=audit.deleted(username=user.username, role=user.role, workspaces=_workspace_ids(user)),
    )
    user.delete()
    revision.bump()


def _is_working_admin(user: User) -> bool:
    return user.role == Role.ADMIN and user.is_active


def _lock_admins() -> None:
    """Two admins who demote each other at once must not both succeed: all admins' rows are locked, in one order."""
    list(User.objects.select_for_update().filter(role=Role.ADMIN).order_by("pk").values_list("pk", flat=True))


def _refuse_without_admin(user: User, verb: str) -> None:
    if not User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk).exists():
        raise ConflictError(f"{user.username} is the last admin and can't be {verb}: make somebody else admin first")


def _check_username(username: str, but: User | None = None) -> None:
    """Refuse a reserved name, or one that looks like another user's. Users that have such a name already keep it."""
    names.refuse_reserved(username, field="username")
    taken = User.objects.exclude(pk=but.pk) if but else User.objects.all()
    plain = names.folded(username)
    if any(names.folded(other) == plain for other in taken.values_list("username", flat=True).iterator()):
        raise ConflictError(f"a user named {username} exists already", fields={"username": ["taken"]})


def _set_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInputError(f"password: {error.messages[0]}", fields={"password": error.messages}) from None
    user.set_password(password)


def _workspace_ids(user: User) -> list[str]:
    return sorted(Membership.objects.filter(user=user).values_list("workspace_id", flat=True))


def _set_workspaces(user: User, ids: Iterable[str]) -> list[str]:
    wanted = set(ids)
    known = set(Workspace.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if unknown := sorted(wanted - known):
        raise InvalidInputError.of("workspaces", f"there is no workspace {', '.join(unknown)}")
    Membership.objects.filter(user=user).exclude(workspace_id__in=wanted).delete()
    there = set(Membership.objects.filter(user=user).values_list("workspace_id", flat=True))
    Membership.objects.bulk_create(Membership(user=user, workspace_id=id_) for id_ in sorted(wanted - there))
    return sorted(wanted)
