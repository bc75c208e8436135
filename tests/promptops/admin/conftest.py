"""Fixtures of the back office's tests."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity.models import User
from governance.tenancy import environments, workspaces
from governance.tenancy.models import Workspace
from tests.promptops.admin.browser import Browser
from tests.promptops.admin.world import populate

World = dict[type[Model], Any]
MakeUser = Callable[..., User]


@pytest.fixture
def world(workspace: Workspace, make_user: MakeUser) -> World:
    """One row of every kind, in `default`."""
    return populate(workspace, make_user(Role.VIEWER, username="member"))


@pytest.fixture
def hidden(workspace: Workspace, make_user: MakeUser) -> World:
    """One row of every kind in a workspace that only admins see. The names of all in it have `xyzzy` in them."""
    room = workspaces.create_workspace(actor=SYSTEM, name="Room xyzzy")
    environments.create_environment(actor=SYSTEM, workspace=room, name="xyzzy-stage")
    return populate(room, make_user(Role.VIEWER, username="xyzzy", workspaces=[room.pk]), suffix="-xyzzy")


@pytest.fixture
def browse(make_user: MakeUser) -> Callable[..., Browser]:
    """A browser of a new user of that role, or of `user`."""
    return lambda role=Role.ADMIN, *, user=None: Browser(user or make_user(role))
