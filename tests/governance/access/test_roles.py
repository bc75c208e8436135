"""Who may do what: every endpoint, asked by everybody (contract, section 2)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens
from governance.identity.models import User
from governance.tenancy.models import Membership, Workspace
from tests.conftest import api
from tests.contract.endpoints import ADMIN, ENDPOINTS, Endpoint

pytestmark = pytest.mark.usefixtures("full_installation")

ROLES = list(Role)
SIGN_IN = "unauthorized: send a valid token as `Authorization: Bearer <token>`"

#: Who asks: a name, their role, and what their token is bound to.
CALLERS: list[tuple[str, Role | None, str | None]] = [
    ("nobody", None, None),
    *((f"a user who is {role}", role, None) for role in ROLES),
    ("the static token", ADMIN, None),
    *((f"an API token of role {role}", role, "workspace") for role in ROLES),
    *((f"an API token of role {role} for prod", role, "environment") for role in ROLES),
]


@pytest.fixture
def client_of(static: APIClient, anonymous: APIClient) -> Callable[[str, Role | None, str | None], APIClient]:
    default = Workspace.objects.get(pk="default")

    def find(name: str, role: Role | None, bound: str | None) -> APIClient:
        if role is None:
            return anonymous
        if name == "the static token":
            return static
        if bound is None:
            user = User.objects.create(username=f"the-{role}", role=role, password="!")
            Membership.objects.create(user=user, workspace=default)
            return api(tokens.open_session(user=user)[1])
        env = "prod" if bound == "environment" else None
        return api(tokens.create_token(actor=SYSTEM, workspace=default, name="app", role=role, env=env)[1])

    return find


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def expected(endpoint: Endpoint, name: str, role: Role | None, bound: str | None) -> tuple[int, str]:
    if endpoint.least is None:
        return endpoint.status, ""
    if role is None:
        return 401, SIGN_IN
    if ROLES.index(role) < ROLES.index(endpoint.least):
        return 403, f"forbidden: requires {endpoint.least} role"
    if bound == "workspace" == endpoint.beyond or (bound == "environment" and endpoint.beyond):
        return 403, f"forbidden: this token is bound to one {bound}"
    if bound == "environment" and endpoint.route == "/api/environments/{id}":
        return 404, "not found"  # it sees its own environment alone
    of_its_like = (
        "/api/workflows/runs/{id}",
        "/api/runs/{id}",
        "/api/schedules/{id}",
        "/api/webhooks/{id}",
        "/api/tokens/{id}",
    )
    if bound == "environment" and endpoint.route.startswith(of_its_like):
        return 404, "not found"  # it sees those that its like started or set up
    if endpoint.private and name != "the static token":
        return 404, "not found"
    return endpoint.status, ""


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_an_endpoint_is_open_to_its_least_role_and_to_those_above_it(
    endpoint: Endpoint, client_of: Callable[..., APIClient]
) -> None:
    answers: dict[str, Any] = {}
    for name, role, bound in CALLERS:
        with undone():
            answer = endpoint.call(client_of(name, role, bound))
            answers[name] = answer.status_code, answer.json()["error"] if answer.status_code >= 400 else ""
    assert answers == {name: expected(endpoint, name, role, bound) for name, role, bound in CALLERS}


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ",
        "Bearer wrong",
        "Bearer " + "x" * 10_000,
        "Bearer po_\u00e9",
        "Token {secret}",
        "{secret}",
        "Bearer {secret} {secret}",
        "Basic YWRtaW46YWRtaW4=",
    ],
)
def test_a_header_that_is_no_valid_bearer_is_unauthorized(static: APIClient, settings: Any, header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header.replace("{secret}", settings.PROMPTOPS_TOKEN))
    answer = client.get("/api/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_without_a_static_token_in_the_settings_none_lets_in(workspace: Workspace, settings: Any) -> None:
    for configured in (None, ""):
        settings.PROMPTOPS_TOKEN = configured
        assert api("").get("/api/me").status_code == 401
        assert api("None").get("/api/me").status_code == 401
