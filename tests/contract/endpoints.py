"""The table of endpoints (contract, section 2), which several tests walk through."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

from governance.access.roles import Role
from governance.tenancy.models import DEFAULT_WORKSPACE
from tests.contract import world

VIEWER, EDITOR, ADMIN = Role.VIEWER, Role.EDITOR, Role.ADMIN
WORKSPACE, ENVIRONMENT = "workspace", "environment"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One line. `path` has the world's ids in it, `body` is one that is accepted there, with `status`.

    `private`: what it is about belongs to the static token, and is not there for anybody else.
    `beyond`: a token that is bound to one workspace (or one environment) is refused, whatever its role.
    """

    method: str
    path: str
    least: Role | None
    body: dict[str, Any] | None = None
    status: int = 200
    beyond: str | None = None
    private: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def route(self) -> str:
        """The path as the schema has it."""
        route = self.path.replace(f"sdk/prompts/{world.KEY}", "sdk/prompts/{key}")
        route = route.replace(world.SESSION, "{session_id}")
        for id_ in (*world.IDS.values(), f"workspaces/{DEFAULT_WORKSPACE}"):
            route = route.replace(id_, "workspaces/{id}" if "/" in id_ else "{id}")
        return route

    @property
    def id(self) -> str:
        """The id in the path."""
        return next(part for part in self.path.split("/") if part in {*world.IDS.values(), DEFAULT_WORKSPACE})

    @property
    def takes_an_id(self) -> bool:
        return "{id}" in self.route

    def path_of(self, id_: str) -> str:
        """The same endpoint for another row."""
        return self.route.replace("{id}", id_).replace("{session_id}", world.SESSION)

    def call(self, client: APIClient, body: Any = ..., *, path: str | None = None, **extra: Any) -> Any:
        """Send the request: its own body unless another is given."""
        send = getattr(client, self.method.lower())
        return send(path or self.path, self.body if body is ... else body, **extra)

    def call_raw(self, client: APIClient, body: Any, *, content_type: str = "application/json") -> Any:
        return client.generic(self.method, self.path, body, content_type)


def _rows(
    name: str,
    *,
    least: Role,
    read: Role = VIEWER,
    new: dict[str, Any],
    change: dict[str, Any],
    beyond: str | None = None,
    read_beyond: str | None = None,
) -> list[Endpoint]:
    """The endpoints of a resource that is listed, created, fetched, changed and deleted."""
    rows, row = f"/api/{name}", f"/api/{name}/{world.IDS[name]}"
    return [
        Endpoint(method="GET", path=rows, least=read, beyond=read_beyond),
        Endpoint(method="POST", path=rows, least=least, body=new, status=201, beyond=beyond),
        Endpoint(method="GET", path=row, least=read, beyond=read_beyond),
        Endpoint(method="PUT", path=row, least=least, body=change, beyond=beyond),
        Endpoint(method="PATCH", path=row, least=least, body=change, beyond=beyond),
        Endpoint(method="DELETE", path=row, least=least, beyond=beyond),
    ]


PASSWORD = "correct-horse-battery"
_PROMPT, _AGENT, _WORKFLOW = (f"/api/{name}/{world.IDS[name]}" for name in ("prompts", "agents", "workflows"))
_GOING, _OVER = (f"/api/workflows/runs/{world.IDS[name]}" for name in ("workflow_runs", "ended_runs"))
_SCHEDULE = {"workflow_id": world.WORKFLOW, "name": "new", "cron": "30 2 * * *"}
_WORKSPACE = f"/api/workspaces/{DEFAULT_WORKSPACE}"
_ROLLOUT = {"enabled": False, "variant_a": "v2", "variant_b": "v1", "weight_a": 12.5}
_USER = {"username": "new", "password": PASSWORD, "role": "editor"}

ENDPOINTS: list[Endpoint] = [
    Endpoint(method="POST", path="/api/login", least=None, body={"token": settings.PROMPTOPS_TOKEN}),
    Endpoint(method="POST", path="/api/logout", least=VIEWER),
    Endpoint(method="GET", path="/api/me", least=VIEWER),
    *_rows("prompts", least=EDITOR, new={"key": "new", "env": "prod"}, change={"content": "other"}),
    Endpoint(method="GET", path=f"{_PROMPT}/versions", least=VIEWER),
    Endpoint(method="POST", path=f"{_PROMPT}/versions", least=EDITOR, body={"note": "kept"}, status=201),
    Endpoint(method="POST", path="/api/prompts/publish", least=EDITOR, body={"id": world.PROMPT, "note": "new"}),
    Endpoint(method="POST", path="/api/prompts/rollback", least=EDITOR, body={"id": world.PROMPT, "version": "v1"}),
    Endpoint(method="POST", path=f"{_PROMPT}/copy", least=EDITOR, body={"env": "prod", "key": "copied"}, status=201),
    Endpoint(method="GET", path=f"{_PROMPT}/rollout", least=VIEWER),
    Endpoint(method="PUT", path=f"{_PROMPT}/rollout", least=EDITOR, body=_ROLLOUT),
    Endpoint(method="DELETE", path=f"{_PROMPT}/rollout", least=EDITOR),
    Endpoint(method="GET", path=f"/api/sdk/prompts/{world.KEY}", least=VIEWER),
    Endpoint(method="GET", path="/api/sdk/prompts", least=VIEWER),
    Endpoint(method="POST", path="/api/playground/run", least=VIEWER, body={"content": "Hi", "provider": "mock"}),
    Endpoint(method="GET", path="/api/playground/providers", least=VIEWER),
    *_rows(
        "providers",
        least=ADMIN,
        read=ADMIN,
        new={"name": "gemini", "api_key": "sk-new"},
        change={"label": "other"},
        beyond=WORKSPACE,
        read_beyond=WORKSPACE,
    ),
    *_rows("agents", least=EDITOR, new={"key": "new", "prompt": "Help"}, change={"description": "other"}),
    Endpoint(method="POST", path=f"{_AGENT}/run", least=VIEWER, body={"variables": {"name": "Ada"}}),
    Endpoint(method="GET", path=f"{_AGENT}/sessions", least=VIEWER),
    Endpoint(method="GET", path=f"{_AGENT}/sessions/{world.SESSION}", least=VIEWER, private=True),
    Endpoint(method="DELETE", path=f"{_AGENT}/sessions/{world.SESSION}", least=VIEWER, private=True),
    *_rows(
        "workflows",
        least=EDITOR,
        new={"key": "new", "steps": world.STEPS},
        change={"description": "other"},
        beyond=ENVIRONMENT,
    ),
    Endpoint(method="POST", path=f"{_WORKFLOW}/run", least=VIEWER, body={"variables": {"name": "Ada"}}),
    Endpoint(method="GET", path=f"{_WORKFLOW}/versions", least=VIEWER),
    Endpoint(method="GET", path=f"{_WORKFLOW}/export", least=VIEWER),
    Endpoint(method="GET", path="/api/workflows/schema", least=VIEWER),
    Endpoint(
        method="POST",
        path="/api/workflows/publish",
        least=EDITOR,
        body={"id": world.WORKFLOW, "note": "new"},
        beyond=ENVIRONMENT,
    ),
    Endpoint(
        method="POST",
        path="/api/workflows/rollback",
        least=EDITOR,
        body={"id": world.WORKFLOW, "version": "v1"},
        beyond=ENVIRONMENT,
    ),
    Endpoint(
        method="POST",
        path="/api/workflows/import",
        least=EDITOR,
        beyond=ENVIRONMENT,
        body={"key": "imported", "steps": world.STEPS},
        status=201,
    ),
    Endpoint(method="GET", path="/api/workflows/runs", least=VIEWER),
    Endpoint(method="GET", path=_GOING, least=VIEWER),
    Endpoint(method="GET", path=f"{_OVER}/events", least=VIEWER),
    Endpoint(method="POST", path=f"{_GOING}/cancel", least=EDITOR),
    Endpoint(method="POST", path=f"{_OVER}/resume", least=EDITOR, body={"from": "say"}),
    Endpoint(method="POST", path=f"{_GOING}/approve", least=EDITOR, body={"comment": "fine"}),
    Endpoint(method="POST", path=f"{_GOING}/reject", least=EDITOR, body={"comment": "no"}),
    *_rows("schedules", least=EDITOR, new=_SCHEDULE, change={"cron": "0 4 * * *"}),
    *_rows("webhooks", least=EDITOR, new={"workflow_id": world.WORKFLOW, "name": "new"}, change={"name": "other"}),
    Endpoint(method="GET", path="/api/audit", least=VIEWER, beyond=ENVIRONMENT),
    Endpoint(method="GET", path="/api/runs", least=VIEWER),
    Endpoint(method="GET", path=f"/api/runs/{world.RUN}", least=VIEWER),
    Endpoint(method="POST", path=f"/api/runs/{world.RUN}/feedback", least=VIEWER, body={"score": 1}),
    Endpoint(method="GET", path="/api/runs/stats", least=VIEWER),
    Endpoint(method="GET", path="/api/clients", least=VIEWER),
    *_rows(
        "users", least=ADMIN, read=ADMIN, new=_USER, change={"role": "editor"}, beyond=WORKSPACE, read_beyond=WORKSPACE
    ),
    Endpoint(method="GET", path="/api/workspaces", least=VIEWER),
    Endpoint(method="POST", path="/api/workspaces", least=EDITOR, body={"name": "New"}, status=201, beyond=WORKSPACE),
    Endpoint(method="GET", path=_WORKSPACE, least=VIEWER),
    Endpoint(method="PUT", path=_WORKSPACE, least=EDITOR, body={"name": "Other"}, beyond=ENVIRONMENT),
    Endpoint(method="PATCH", path=_WORKSPACE, least=EDITOR, body={"name": "Other"}, beyond=ENVIRONMENT),
    Endpoint(method="DELETE", path=f"/api/workspaces/{world.WORKSPACE}", least=ADMIN, beyond=WORKSPACE),
    *(
        endpoint
        for endpoint in _rows(
            "tokens", least=ADMIN, read=ADMIN, new={"name": "new", "role": "viewer"}, change={}, beyond=ENVIRONMENT
        )
        if endpoint.method in {"GET", "POST", "DELETE"}  # a token is made anew, not changed
    ),
    *_rows("environments", least=ADMIN, new={"name": "new"}, change={"description": "other"}, beyond=ENVIRONMENT),
]
WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint.body is not None]
WITH_ID = [endpoint for endpoint in ENDPOINTS if endpoint.takes_an_id]
