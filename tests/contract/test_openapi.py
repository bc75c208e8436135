"""The server against its own OpenAPI schema: no 5xx, no answer outside the schema, nothing taken that it forbids.

Each operation is tried with values that the schema allows and with values that it doesn't, on an installation with one
of everything in it. Each try begins from the same state: what it wrote is undone.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest
import schemathesis
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, reject
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import load_all_checks
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.hypothesis.builder import (
    InvalidHeadersExampleMark,
    InvalidRegexMark,
    MissingPathParameters,
    UnserializablePayloadMark,
)
from schemathesis.generation.meta import CoverageScenario
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source

from governance.tenancy.models import DEFAULT_WORKSPACE
from tests.conftest import FUZZING
from tests.contract import world

pytestmark = pytest.mark.usefixtures("full_installation")

EXAMPLES = 100 if FUZZING else 10
#: The most bodies that are allowed and differ in a single value, of one operation: of 2,100 of the playground's, say,
#: which come from a configuration inside a list. All that is not allowed is tried.
ALLOWED = 10_000 if FUZZING else 150
ENVIRONMENTS = ["dev", "test", "prod"]

#: What only this installation knows: the values that a field of the schema can have here.
KNOWN: dict[str, Any] = {
    "env": {"type": "string", "enum": ENVIRONMENTS},
    "workspace_id": {"type": "string", "enum": [DEFAULT_WORKSPACE]},
    "workspaces": {"type": "array", "items": {"type": "string", "enum": [DEFAULT_WORKSPACE, world.WORKSPACE]}},
    "provider": {"type": "string", "enum": ["mock"]},
    "stream": {"type": "boolean", "enum": [False]},
    "variant_a": {"type": "string", "enum": ["v1"]},
    "variant_b": {"type": "string", "enum": ["v2"]},
}
TEXTS: dict[str, Any] = {"type": "string", "enum": ["draft", "live", "v1", "v2"]}
ADDRESSES: dict[str, Any] = {"type": "string", "enum": ["https://model.example/v1", "https://8.8.8.8/v1"]}
#: Schemas are checked as schemas, tools by their type's own rules: a few that will do.
AT_WORK: dict[str, Any] = {
    "output": {"type": "string", "enum": ["json"]},
    "output_schema": {"type": "object", "enum": [{}, {"type": "object", "required": ["a"]}]},
    "tools": {
        "type": "array",
        "maxItems": 1,
        "items": {"type": "object", "enum": [{"type": "agent", "key": "helper"}, world.HTTP_TOOL]},
    },
}
#: What steps refer to is looked up: one of each type that will do, and some that don't.
DEFINED: dict[str, Any] = {
    "steps": {
        "type": "array",
        "maxItems": 50,
        "items": {"type": "object", "enum": [*world.STEPS, *world.ONE_OF_EACH]},
    },
    "inputs": {"type": "object", "enum": [{}, {"name": {"type": "string", "default": "Ada"}}]},
    "outputs": {"type": "object", "enum": [{}, {"said": "{{input}}", "length": {"path": "length(input)"}}]},
}
KNOWN_OF: dict[str, dict[str, Any]] = {
    "ResumeRequest": {"from": {"type": "string", "enum": ["say"]}},
    "DecisionRequest": {"step": {"type": "string", "enum": ["say"]}},
    **{
        name: {
            "workflow_id": {"type": "string", "enum": [world.WORKFLOW]},
            "cron": {"type": "string", "enum": ["30 2 * * *", "*/5 * * * 1-5"]},
            "timezone": {"type": "string", "enum": ["UTC", "Europe/Berlin"]},
        }
        for name in ("ScheduleRequest", "PatchedScheduleRequest", "WebhookRequest", "PatchedWebhookRequest")
    },
    "WorkflowRequest": DEFINED,
    "PatchedWorkflowRequest": DEFINED,
    "WorkflowImportRequest": DEFINED,
    "WorkflowRunRequestRequest": {"version": {"type": "string", "enum": ["draft", "live", "v1"]}},
    "WorkflowPublishRequest": {"id": {"type": "string", "enum": [world.WORKFLOW, world.NOWHERE]}},
    "WorkflowRollbackRequest": {
        "id": {"type": "string", "enum": [world.WORKFLOW, world.NOWHERE]},
        "version": {"type": "string", "enum": ["v1", "v2", "v3"]},
    },
    "AgentRequest": AT_WORK,
    "PatchedAgentRequest": AT_WORK,
    "PublishRequest": {"id": {"type": "string", "enum": [world.PROMPT, world.NOWHERE]}},
    "RollbackRequest": {
        "id": {"type": "string", "enum": [world.PROMPT, world.NOWHERE]},
        "version": {"type": "string", "enum": ["v1", "v2", "v3"]},
    },
    "PlaygroundPromptRequest": {"id": {"type": "string", "enum": [world.PROMPT, world.NOWHERE]}, "version": TEXTS},
    "PromptVariantRequest": {"version": TEXTS},
    "ModelProviderRequest": {"name": {"type": "string", "enum": ["claude", "gemini"]}, "base_url": ADDRESSES},
    "PatchedModelProviderRequest": {"name": {"type": "string", "enum": ["house", "gemini"]}, "base_url": ADDRESSES},
    "TokenRequest": {"env": {"type": "string", "enum": [*ENVIRONMENTS, None], "nullable": True}},
    "PatchedEnvironmentRequest": {"name": {"type": "string", "enum": ["spare"]}},
}


#: What may have more fields than the schema names: a type of step has its own.
OPEN = {"TraceEntry"}


def _rows_of(path: str) -> str:
    """What the id in a path is of, by its name in the world."""
    if path.startswith("/api/workflows/runs/"):
        return "ended_runs" if path.endswith(("/resume", "/events")) else "workflow_runs"
    return path.split("/")[2]


def narrowed(published: dict[str, Any]) -> dict[str, Any]:
    """The schema with what only this installation knows, so that the tries get past the first look.

    Of answers it allows no field that is not described: clients may meet new ones, the schema's writer may not.
    """
    schema = copy.deepcopy(published)
    for name, component in schema["components"]["schemas"].items():
        properties = component.get("properties", {})
        if "properties" in component and name not in OPEN:
            component.setdefault("additionalProperties", False)
        if name.endswith("Request"):
            known = {**KNOWN, **KNOWN_OF.get(name, {})}
            properties.update({field: known[field] for field in properties.keys() & known.keys()})
    for path, operations in schema["paths"].items():
        there = world.KEY if "{key}" in path else world.IDS.get(_rows_of(path), "")
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"] = {"type": "string", "enum": [there, world.NOWHERE]}
    return schema


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The server; what a request wrote is checked as a commit would, and undone."""
    with transaction.atomic():
        answer = django_application(environ, start_response)
        connection.check_constraints()
        transaction.set_rollback(True)
    return answer


django_application = get_wsgi_application()
published = SchemaGenerator().get_schema(request=None, public=True)
schema = schemathesis.openapi.from_dict(
    narrowed(published),
    config=schemathesis.Config.from_dict(
        {
            # NUL is refused wherever text is taken, which no schema says of each text.
            "generation": {
                "allow-x00": False,
                "deterministic": not FUZZING,
                "max-examples": EXAMPLES,
                "with-security-parameters": False,
            },
            # A stale `If-Match` is what most values of that header are.
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "409", "412"]},
                "negative_data_rejection": {"expected-statuses": ["400", "404", "405", "409", "412", "415"]},
            },
            "operations": [
                {
                    "include-path": "/api/login",
                    "checks": {"positive_data_acceptance": {"expected-statuses": ["200", "401", "429"]}},
                }
            ],
        }
    ),
)
schema.app = application
OPERATIONS: list[Any] = [cast(Any, result).ok() for result in schema.get_all_operations()]


def keep_the_rules(case: schemathesis.Case) -> None:
    """Make a body that is valid by the schema valid by the rules that no schema can tell."""
    body: Any = case.body
    if not (case.meta and case.meta.generation.mode.is_positive and isinstance(body, dict)):
        return
    if "password" in body and case.path != "/api/login":
        body["password"] = "correct-horse-battery"
    if body.get("expires_at"):
        body["expires_at"] = world.soon()
    if case.path.startswith("/api/agents") and not case.path.endswith("/run"):
        body.pop("prompt_key", None)
        body["prompt"] = body.get("prompt") or "Help {{name}}"
        if "output_schema" in body:
            body["output"] = "json"
    if body.get("strict"):
        body.setdefault("variables", {})["name"] = "world"
    if case.path.endswith("/run"):
        for call in (body, *body.get("variants", [])):
            call.pop("base_url", None)
        if body.get("background"):
            body.pop("api_key", None)


@pytest.fixture(autouse=True)
def _connection_stays(workspace: Any) -> Iterator[None]:
    # As Django's own test client does: the connection is in the test's transaction, and must stay.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@hypothesis_settings(deadline=None, suppress_health_check=list(HealthCheck))
def answers_as_its_schema_says(case: schemathesis.Case) -> None:
    if "" in (case.query or {}).values():
        reject()  # a filter that is empty is none, as forms send them: 200, which a schema of choices can't tell
    keep_the_rules(case)
    case.call_and_validate(headers={"Authorization": f"Bearer {settings.PROMPTOPS_TOKEN}"})


@functools.cache
def constants() -> FeedbackSources:
    """The constants in the server's source, which are tried as values."""
    return FeedbackSources(constants_value_source=make_constants_value_source(schema))


def bounded(cases: list[Any]) -> list[Any]:
    """Of too many bodies that are allowed, some, evenly; and every other case."""
    allowed = [case for case in cases if _is_an_allowed_body(case.kwargs["case"].meta)]
    chosen = {id(case) for case in allowed[:: math.ceil(len(allowed) / ALLOWED) or 1]}
    rest = {id(case) for case in cases} - {id(case) for case in allowed}
    return [case for case in cases if id(case) in chosen | rest]


def _is_an_allowed_body(meta: Any) -> bool:
    scenario = getattr(meta.phase.data, "scenario", None)
    return meta.generation.mode.is_positive and scenario == CoverageScenario.VALID_OBJECT


def everywhere(operation: Any) -> bool:
    """Whether it asks what databases may answer otherwise: a list with its filters, or a new row."""
    return "{" not in operation.path and (operation.method == "get" or operation.path.count("/") == 2)


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(one, id=one.label, marks=[pytest.mark.both_databases] if everywhere(one) else [])
        for one in OPERATIONS
    ],
)
def test_an_operation_answers_as_its_schema_says(operation: Any) -> None:
    """Its cases are made here and not by `schema.parametrize`, which has each xdist worker make all of them: 11 s."""
    load_all_checks()
    test: Any = build_operation_test(
        config=schema.config,
        operation=operation,
        test_func=answers_as_its_schema_says,
        given_kwargs={},
        feedback=constants(),
    )
    test.hypothesis_explicit_examples = bounded(getattr(test, "hypothesis_explicit_examples", []))
    test()
    for left_out in (InvalidHeadersExampleMark, InvalidRegexMark, MissingPathParameters, UnserializablePayloadMark):
        assert not left_out.get(test)
