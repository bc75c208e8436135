"""Addresses through the whole of Django, as its test client asks for them. To be imported after django.setup()."""

import time

from django.test import Client

from governance.access.roles import Role
from governance.identity.models import User
from governance.tenancy.models import Membership


def logged_in(role: Role) -> Client:
    """A person of that role in the back office, who sees the default workspace."""
    user, _ = User.objects.get_or_create(username=f"bench-{role}", defaults={"role": role})
    Membership.objects.get_or_create(user=user, workspace_id="default")
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def best(client: Client, path: str, times: int = 5) -> float:
    """Milliseconds of the quickest of so many answers."""
    return round(min(_timed(client, path) for _ in range(times)), 1)


def _timed(client: Client, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code, answer.content)  # noqa: S101
    return (time.perf_counter() - began) * 1000
