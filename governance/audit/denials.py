"""Audit entries for writes that were not allowed: over the API, in the admin, and by the scripts of its pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from governance.access.actors import Actor
from governance.access.permissions import ADMIN_MODELS
from governance.audit import bounded

READING = {"GET", "HEAD", "OPTIONS"}


def of_api(request: Any, view: Any, reason: str) -> None:
    """Record a request that was answered with 403, unless it only reads or has no known actor."""
    actor = getattr(request, "user", None)
    if request.method in READING or not isinstance(actor, Actor):
        return
    capability = str(view.capability() or "") if hasattr(view, "capability") else ""
    _record(actor, str(request.method), request.path, capability, reason, getattr(view, "kwargs", {}).get("pk"))


def of_admin(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a view of the back office: writes that it denies are recorded."""

    @wraps(view)
    def recording(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return view(request, *args, **kwargs)
        except PermissionDenied:
            if request.method not in READING and isinstance(request.user, AbstractBaseUser):
                match = request.resolver_match
                name = match.url_name or "" if match else ""
                actor = Actor.of_user(request.user)
                _record(actor, str(request.method), request.path, name, "forbidden", kwargs.get("object_id"))
            raise

    return recording


def of_script(actor: Actor, request: HttpRequest, capability: str, reason: str) -> None:
    """The same for a request by a script of the back office."""
    if request.method not in READING:
        _record(actor, str(request.method), request.path, capability, reason, None)


def _record(actor: Actor, method: str, path: str, what: str, reason: str, row: Any) -> None:
    """`what` is a capability, or the name of an address in the back office, such as prompts_prompt_change."""
    app, _, rest = what.partition("_")
    resource = what.partition(".")[0] if "." in what else ADMIN_MODELS.get(f"{app}.{rest.partition('_')[0]}", "admin")
    bounded.record(
        actor=actor,
        action="denied",
        what=f"{method} {what or path}",
        resource=resource[:40],
        resource_id=str(row or "")[:36],
        summary=f"{method} {path[:300]} was refused: {reason}",
        workspace_id=actor.workspace_id,
    )
