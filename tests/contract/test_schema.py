"""The published schema: every endpoint is in it, and it was made without a doubt."""

from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from tests.contract.endpoints import ENDPOINTS, Endpoint


@pytest.fixture(scope="module")
def schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_server_publishes_its_schema_to_everybody(anonymous: APIClient, schema: Any) -> None:
    answer = anonymous.get("/api/schema")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/vnd.oai.openapi+json")
    assert answer.json() == schema


def test_the_schema_is_made_and_validated_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_the_schema_has_exactly_the_endpoints_of_the_contracts_table(schema: Any) -> None:
    described = {(method.upper(), path) for path, operations in schema["paths"].items() for method in operations}
    assert described == {(endpoint.method, endpoint.route) for endpoint in ENDPOINTS}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_an_operation_says_who_may_use_it_and_how_it_fails(schema: Any, endpoint: Endpoint) -> None:
    operation = schema["paths"][endpoint.route][endpoint.method.lower()]
    answers = operation["responses"].keys()
    expected = {str(endpoint.status), "400", "503"}
    if endpoint.least is not None:
        assert operation["security"] == [{"bearer": []}]
        expected.add("401")
    if endpoint.least not in {None, "viewer"}:
        expected.add("403")
    if endpoint.takes_an_id:
        expected.add("404")
    if endpoint.body is not None:
        expected |= {"413", "415"}
    assert expected <= answers
    assert ("403" in answers) == ("403" in expected)


def test_the_schemas_page_needs_no_token(anonymous: APIClient) -> None:
    page = anonymous.get("/api/docs")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
