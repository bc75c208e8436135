"""API tokens: the secret once, its digest for good, and no longer than they are meant to (contract, section 2)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.identity.credentials.bearer import digest_of
from governance.identity.models import Token, TokenKind
from governance.tenancy.models import Workspace
from tests.conftest import api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def create(client: APIClient, **fields: Any) -> Any:
    return client.post("/api/tokens", {"name": "app", "role": "viewer", **fields})


def test_the_secret_is_in_the_creates_answer_and_nowhere_else(static: APIClient) -> None:
    created = create(static, env="prod").json()["data"]
    secret = created.pop("token")
    assert secret.startswith("po_")
    assert len(secret) > 40
    assert created == {**created, "name": "app", "role": "viewer", "workspace_id": "default", "env": "prod"}
    (listed,) = static.get("/api/tokens").json()["data"]
    assert listed == created == static.get(f"/api/tokens/{created['id']}").json()["data"]
    row = Token.objects.get()
    assert (row.digest, row.hint) == (digest_of(secret), secret[:8])
    assert secret not in str(list(Token.objects.values())) + str(list(AuditEntry.objects.values()))


def test_secrets_differ(static: APIClient) -> None:
    assert len({create(static).json()["data"]["token"] for _ in range(3)}) == 3


def test_a_token_is_its_role_in_its_one_workspace(static: APIClient, other_workspace: Workspace) -> None:
    created = create(static, role="editor", workspace_id=other_workspace.pk).json()["data"]
    app = api(created["token"])
    made = app.post("/api/prompts", {"key": "a"}).json()["data"]
    assert made["workspace_id"] == other_workspace.pk
    assert app.post("/api/environments", {"name": "staging"}).status_code == 403
    assert app.get("/api/me").json()["workspaces"] == [other_workspace.pk]


def test_an_admins_token_makes_tokens_for_its_own_workspace_only(static: APIClient, other_workspace: Workspace) -> None:
    app = api(create(static, role="admin").json()["data"]["token"])
    assert create(app).json()["data"]["workspace_id"] == "default"
    refused = create(app, workspace_id=other_workspace.pk)
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["workspace_id"])


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"role": "owner"}, "role"),
        ({"role": None}, "role"),
        ({"name": " "}, "name"),
        ({"env": "staging"}, "env"),
        ({"env": "*"}, "env"),
        ({"env": ""}, "env"),
        ({"workspace_id": "nowhere"}, "workspace_id"),
        ({"expires_at": "2026-03-01T11:59:59Z"}, "expires_at"),
        ({"expires_at": "2026-03-01T12:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-03-01T13:30:00+02:00"}, "expires_at"),
        ({"expires_at": "2026-03-02"}, "expires_at"),
        ({"expires_at": "2026-03-02T12:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"expires_at": 1772366400}, "expires_at"),
    ],
    ids=str,
)
@time_machine.travel(NOW, tick=False)
def test_a_token_that_can_not_be_is_refused_by_the_field_at_fault(
    fields: dict[str, Any], at_fault: str, static: APIClient
) -> None:
    answer = create(static, **fields)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [at_fault])
    assert not Token.objects.exists()


def test_a_token_ends_when_its_time_is_up(static: APIClient) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        created = create(static, expires_at="2026-03-01T15:00:00+01:00").json()["data"]
        assert created["expires_at"] == "2026-03-01T14:00:00Z"
        app = api(created["token"])
        clock.move_to(NOW + timedelta(hours=1, minutes=59))
        assert app.get("/api/me").status_code == 200
        clock.move_to(NOW + timedelta(hours=2))
        assert app.get("/api/me").status_code == 401
        assert APIClient().post("/api/login", {"token": created["token"]}).status_code == 401


def test_a_revoked_token_is_out_at_the_next_request(static: APIClient) -> None:
    created = create(static).json()["data"]
    app = api(created["token"])
    assert app.get("/api/sdk/prompts").status_code == 200
    assert static.delete(f"/api/tokens/{created['id']}").json() == {"ok": True}
    assert app.get("/api/sdk/prompts").status_code == 401
    assert static.delete(f"/api/tokens/{created['id']}").status_code == 404


def test_sessions_are_no_api_tokens(static: APIClient, viewer: APIClient, login: Callable[..., APIClient]) -> None:
    session = Token.objects.get(kind=TokenKind.SESSION)
    assert static.get("/api/tokens").json() == {"data": [], "total": 0}
    path = f"/api/tokens/{session.pk}"
    assert static.get(path).status_code == static.delete(path).status_code == 404
    assert viewer.get("/api/me").status_code == 200


def test_a_token_for_one_environment_sees_that_alone(
    static: APIClient, make_prompt: Callable[..., dict[str, Any]]
) -> None:
    make_prompt("here", env="prod")
    there = make_prompt("there", env="dev")
    app = api(create(static, role="editor", env="prod").json()["data"]["token"])
    assert [prompt["key"] for prompt in app.get("/api/prompts").json()["data"]] == ["here"]
    assert [environment["name"] for environment in app.get("/api/environments").json()["data"]] == ["prod"]
    path = f"/api/prompts/{there['id']}"
    assert [app.get(path).status_code, app.put(path, {}).status_code, app.delete(path).status_code] == [404] * 3
    assert app.post("/api/prompts/publish", {"id": there["id"]}).status_code == 404
    assert app.get("/api/sdk/prompts/there", {"env": "dev"}).status_code == 404
    assert app.get("/api/sdk/prompts", {"env": "dev"}).status_code == 404
    refused = app.post("/api/prompts", {"key": "new", "env": "dev"})
    assert refused.status_code == 400
    assert refused.json()["error"].endswith("expected one of: prod")
    assert app.get("/api/sdk/prompts/here").status_code == 200  # its own environment needs no naming
