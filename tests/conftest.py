"""Fixtures that every room uses. Each test starts from an installation with the workspace `default` in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import transaction
from pytest_django import DjangoDbBlocker, Settings
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.models import AccessRevision
from governance.access.roles import Role
from governance.audit import bounded
from governance.identity import tokens, users
from governance.identity.models import User
from governance.tenancy import workspaces
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Workspace
from tests import databases
from tests.contract import world
from tests.servers import migrated, migrated_on_postgres

PASSWORD = "correct-horse-battery"

# The same is tried in every run, so that a green commit stays green; `make fuzz` tries something else each time.
FUZZING = os.environ.get("PROMPTOPS_TEST_FUZZ") == "1"
hypothesis.settings.register_profile("promptops", derandomize=not FUZZING)
hypothesis.settings.load_profile("promptops")


ON_SQLITE: bool = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not ON_SQLITE and os.environ.get("PROMPTOPS_TEST_ALL") != "1":
        same = {item for item in items if databases.is_the_same_on_each(item)}
        config.hook.pytest_deselected(items=list(same))
        items[:] = [item for item in items if item not in same]
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
    """The test database is a copy of one that is migrated once for all workers.

    SQLite's is a file, as in life: locks in a shared memory database are another thing.
    """
    database = settings.DATABASES["default"]
    if ON_SQLITE:
        place = shutil.copy(migrated(), tmp_path_factory.mktemp("db") / "test.sqlite3")
        database["TEST"] = {**database.get("TEST", {}), "NAME": str(place)}
    else:
        database["TEST"] = {**database.get("TEST", {}), "TEMPLATE": migrated_on_postgres()}


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """SQLite's copy is there already; PostgreSQL's is made by Django, from its template."""
    return ON_SQLITE


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


def default_workspace() -> Workspace:
    """The workspace `default`, made anew if a test has emptied the database."""
    found = Workspace.objects.filter(pk=DEFAULT_WORKSPACE).first()
    if found is None:
        found = workspaces.create_workspace(actor=SYSTEM, name="Default", slug="default", id=DEFAULT_WORKSPACE)
        AccessRevision.objects.get_or_create(pk=1)
    return found


@pytest.fixture
def workspace(db: None) -> Workspace:
    """The workspace `default`, also after a test that emptied the database."""
    return default_workspace()


@pytest.fixture(scope="module")
def full_installation(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """An installation with one of everything in it (`tests/contract/world.py`), made once for a whole module.

    It is made in a transaction around the module's tests: each test is a savepoint in it, so what one test writes, the
    next does not see. A module uses it for all its tests, `pytestmark = pytest.mark.usefixtures("full_installation")`,
    and has no test that commits (`transaction=True`).
    """
    around = transaction.atomic()
    with django_db_blocker.unblock():
        around.__enter__()
        default_workspace()
        world.make_all()
    yield
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)


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
