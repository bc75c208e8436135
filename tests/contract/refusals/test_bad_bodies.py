"""Bodies that can't be taken are refused with the contract's error, and nothing is written (contract, section 1)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from rest_framework.test import APIClient

from governance.tenancy.models import Environment
from prompts.models import Prompt
from tests.contract.endpoints import WITH_BODY, Endpoint
from tests.contract.shapes import FIELDS, Field

pytestmark = pytest.mark.usefixtures("full_installation")

DEEP = 5_000
MANY = ", ".join(f'"k{number}": 0' for number in range(50_000))


def member(value: str) -> bytes:
    """An object with a member that no endpoint has: its value is looked at before anybody wonders at its name."""
    return f'{{"a": {value}}}'.encode()


#: What is sent, the status, and words of the sentence that says what is wrong with it.
RAW: dict[str, tuple[bytes, int, str]] = {
    "no JSON": (b"{", 400, "not valid JSON"),
    "two values": (b"{} {}", 400, "not valid JSON"),
    "white space": (b" ", 400, "not valid JSON"),
    "a list": (b"[]", 400, "expected a JSON object"),
    "a list of objects": (b'[{"key": "a"}]', 400, "expected a JSON object"),
    "a string": (b'"text"', 400, "expected a JSON object"),
    "a number": (b"5", 400, "expected a JSON object"),
    "null": (b"null", 400, "expected a JSON object"),
    "false": (b"false", 400, "expected a JSON object"),
    "NaN": (member("NaN"), 400, "NaN is not a JSON number"),
    "minus infinity": (member("-Infinity"), 400, "-Infinity is not a JSON number"),
    "a number beyond all": (member("1e999"), 400, "1e999 is out of range"),
    "an integer too long to read": (member("9" * 10_000), 400, "a number of too many digits"),
    "NUL": (member(r'"\u0000"'), 400, "NUL"),
    "NUL in a name": (rb'{"\u0000": 1}', 400, "NUL"),
    "a bare control character": (member('"\x00"'), 400, "not valid JSON"),
    "a lone surrogate": (member(r'"\ud800"'), 400, "surrogate"),
    "a lone surrogate deep inside": (member(r'[{"b": ["\udfff"]}]'), 400, "surrogate"),
    "a surrogate in UTF-8": (b'{"a": "\xed\xa0\x80"}', 400, "not UTF-8"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), 400, "not UTF-8"),
    "UTF-16": ('{"a": "b"}'.encode("utf-16"), 400, "not UTF-8"),
    "lists nested deep": (member("[" * DEEP + "]" * DEEP), 400, "nested deeper than 64"),
    "objects nested deep": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400, "nested deeper than 64"),
    "nested one too deep": (member("[" * 64 + "]" * 64), 400, "nested deeper than 64"),
    "a name given twice": (b'{"a": 1, "a": 2}', 400, "'a' is there twice"),
    "a name given twice after many": (f'{{{MANY}, "a": 1, "a": 2}}'.encode(), 400, "'a' is there twice"),
    "too large": (b" " * (settings.PROMPTOPS_MAX_BODY_BYTES + 1), 413, "over the limit of 1048576 bytes"),
}


TABLES = sorted({model._meta.db_table for model in apps.get_models()})
#: How many rows each table has, asked at once.
ROWS = " UNION ALL ".join(f"SELECT '{table}', COUNT(*) FROM {connection.ops.quote_name(table)}" for table in TABLES)  # noqa: S608


def state() -> dict[str, Any]:
    """What a half-done write would leave a trace in."""
    rows: dict[str, Any] = {}
    with connection.cursor() as cursor:
        cursor.execute(ROWS)
        rows.update(cursor.fetchall())
    rows["revisions"] = list(Environment.objects.order_by("pk").values_list("revision", flat=True))
    rows["states"] = list(Prompt.objects.order_by("pk").values_list("row_version", flat=True))
    return rows


@pytest.fixture
def admin_of_the_world(static: APIClient) -> Iterator[APIClient]:
    """A client in the world; after the test nothing in it has changed."""
    before = state()
    yield static
    assert state() == before


def error_of(answer: Any) -> tuple[int, str]:
    """Status and sentence of an answer, once it is the contract's error."""
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert body.keys() - {"fields"} == {"error", "code", "request_id"}
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert "fields" not in body or body["fields"]
    return answer.status_code, body["error"]


@pytest.mark.parametrize("kind", RAW)
def test_a_body_that_is_no_json_object_within_the_limits_is_refused_everywhere(
    kind: str, admin_of_the_world: APIClient
) -> None:
    raw, status, words = RAW[kind]
    for endpoint in WITH_BODY:
        told = error_of(endpoint.call_raw(admin_of_the_world, raw))
        assert (told[0], words in told[1]) == (status, True), (str(endpoint), told)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "*/*",
    ],
)
def test_another_content_type_than_json_is_refused_everywhere(content_type: str, admin_of_the_world: APIClient) -> None:
    for endpoint in WITH_BODY:
        raw = json.dumps(endpoint.body)
        status, _ = error_of(endpoint.call_raw(admin_of_the_world, raw, content_type=content_type))
        assert status == 415, str(endpoint)


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=str)
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", " application/json "])
def test_json_is_taken_however_its_content_type_is_written(
    endpoint: Endpoint, content_type: str, static: APIClient
) -> None:
    answer = endpoint.call_raw(static, json.dumps(endpoint.body), content_type=content_type)
    assert answer.status_code == endpoint.status


@pytest.mark.parametrize("endpoint", WITH_BODY, ids=str)
def test_an_unknown_field_is_refused_by_its_name_so_that_no_typo_is_lost(
    endpoint: Endpoint, admin_of_the_world: APIClient
) -> None:
    answer = endpoint.call(admin_of_the_world, {**(endpoint.body or {}), "contnet": "x"})
    status, error = error_of(answer)
    assert (status, list(answer.json()["fields"])) == (400, ["contnet"])
    assert error.startswith("contnet: unknown field; expected ")


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/prompts", lambda text: {"key": "new", "content": text}),
        ("/api/agents", lambda text: {"key": "new", "prompt": text}),
        ("/api/workflows", lambda text: {"key": "new", "steps": [{"type": "render", "template": text}]}),
        ("/api/playground/run", lambda text: {"content": text}),
    ],
)
def test_a_text_is_measured_in_bytes_of_utf_8(path: str, body: Callable[[str], Any], static: APIClient) -> None:
    longest = "ä" * (settings.PROMPTOPS_MAX_CONTENT_BYTES // 2)
    assert static.post(path, body(longest)).status_code in {200, 201}
    refused = static.post(path, body(longest + "a"))
    assert refused.status_code == 400
    assert f"at most {settings.PROMPTOPS_MAX_CONTENT_BYTES} bytes" in refused.json()["error"]


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_field_of_a_wrong_type_or_length_is_refused_by_its_name(field: Field, admin_of_the_world: APIClient) -> None:
    assert field.wrong_values
    for wrong in field.wrong_values:
        answer = field.endpoint.call(admin_of_the_world, {**(field.endpoint.body or {}), field.name: wrong})
        status, _ = error_of(answer)
        assert (status, list(answer.json().get("fields", []))) == (400, [field.name]), repr(wrong)[:80]
