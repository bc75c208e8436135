"""Fixtures that every room uses. Each test starts from an installation with the workspace `default` in it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from pytest_django import Settings
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.models import AccessRevision
from governance.access.roles import Role
from governance.audit import bounded
from governance.identity import tokens, users
from governance.identity.models import User
from governance.tenancy import workspaces
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Workspace

PASSWORD = "correct-horse-battery"

# The same is tried in every run, so that a green commit stays green; `make fuzz` tries something else each time.
FUZZING = os.environ.get("PROMPTOPS_TEST_FUZZ") == "1"
hypothesis.settings.register_profile("promptops", derandomize=not FUZZING)
hypothesis.settings.load_profile("promptops")


#: Rooms that know the server over HTTP alone. Which database is behind it they try with the tests that are marked.
OVER_HTTP = tuple(Path(__file__).parent / room for room in ("browser", "sdk", "foreign"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        left_out = [
            item
            for item in items
            if any(map(item.path.is_relative_to, OVER_HTTP)) and item.get_closest_marker("both_databases") is None
        ]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if "tests/faults/" in item.nodeid:
            item.add_marker(pytest.mark.faults)


def api(secret: str) -> APIClient:
    """A client that sends this bearer secret, and JSON."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: Any) -> None:
    """SQLite's test database is a file, as in life: locks in a shared memory database are another thing."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"] = {**database.get("TEST", {}), "NAME": str(tmp_path_factory.mktemp("db") / "test.sqlite3")}


@pytest.fixture(autouse=True)
def _static_files_as_asked_for(settings: Settings) -> None:
    """Each test's client would look at every static file there is before its first request: a sixth of the time."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def _cheap_passwords(request: pytest.FixtureRequest, settings: Settings) -> None:
    """A scrypt hash takes longer than most tests do; those about hashing itself are marked."""
    if request.node.get_closest_marker("real_passwords") is None:
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _no_counts_of_another_test() -> Iterator[None]:
    """Bounded entries of the audit log are counted in the process, and written by whoever sweeps next."""
    yield
    bounded.forget()


@pytest.fixture
def workspace(db: None) -> Workspace:
    """The workspace `default`, also after a test that emptied the database."""
    found = Workspace.objects.filter(pk=DEFAULT_WORKSPACE).first()
    if found is None:
        found = workspaces.create_workspace(actor=SYSTEM, name="Default", slug="default", id=DEFAULT_WORKSPACE)
        AccessRevision.objects.get_or_create(pk=1)
    return found


@pytest.fixture
def environment(workspace: Workspace) -> Callable[[str], Environment]:
    """An environment of `default` by its name."""
    return lambda name: Environment.objects.select_related("workspace").get(workspace=workspace, name=name)


@pytest.fixture
def other_workspace(workspace: Workspace) -> Workspace:
    """A workspace that nobody but admins can see."""
    return workspaces.create_workspace(actor=SYSTEM, name="Other", slug="other")


@pytest.fixture
def make_user(workspace: Workspace) -> Callable[..., User]:
    """Make a user of that role, a member of `default` unless told otherwise."""

    def make(role: str = Role.VIEWER, *, username: str | None = None, **values: Any) -> User:
        return users.create_user(
            actor=SYSTEM, username=username or f"{role}-{User.objects.count()}", password=PASSWORD, role=role, **values
        )

    return make


@pytest.fixture
def login(make_user: Callable[..., User]) -> Callable[..., APIClient]:
    """A client with a session: of `user`, or of a new user of that role."""

    def make(role: str = Role.VIEWER, *, user: User | None = None, **values: Any) -> APIClient:
        _, secret = tokens.open_session(user=user or make_user(role, **values))
        return api(secret)

    return make


@pytest.fixture
def viewer(login: Callable[..., APIClient]) -> APIClient:
    return login(Role.VIEWER)


@pytest.fixture
def editor(login: Callable[..., APIClient]) -> APIClient:
    return login(Role.EDITOR)


@pytest.fixture
def admin(login: Callable[..., APIClient]) -> APIClient:
    return login(Role.ADMIN)


@pytest.fixture
def static(workspace: Workspace) -> APIClient:
    """A client with the static token."""
    return api(settings.PROMPTOPS_TOKEN or "")


@pytest.fixture
def anonymous(workspace: Workspace) -> APIClient:
    return APIClient()


@pytest.fixture
def make_prompt(editor: APIClient) -> Callable[..., dict[str, Any]]:
    """Create a prompt over the API; `publish=True` publishes it too."""

    def make(key: str = "greeting", *, publish: bool = False, **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/prompts", {"key": key, "env": "prod", "content": "Hello {{name}}", **fields})
        assert answer.status_code == 201, answer.json()
        prompt: dict[str, Any] = answer.json()["data"]
        if publish:
            done = editor.post("/api/prompts/publish", {"id": prompt["id"]})
            assert done.status_code == 200, done.json()
            prompt = editor.get(f"/api/prompts/{prompt['id']}").json()["data"]
        return prompt

    return make
