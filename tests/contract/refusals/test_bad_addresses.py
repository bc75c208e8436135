"""Ids, queries and methods that can't be answered: the contract's error, and nothing written (contract, section 1)."""

from collections.abc import Callable

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens
from governance.tenancy.models import Workspace
from tests.conftest import api
from tests.contract import world
from tests.contract.endpoints import ENDPOINTS, WITH_ID, WORKSPACE, Endpoint
from tests.contract.refusals.test_bad_bodies import error_of, state

pytestmark = pytest.mark.usefixtures("full_installation")

LISTS = [
    endpoint
    for endpoint in ENDPOINTS
    if endpoint.method == "GET" and (endpoint.route.count("/") == 2 or endpoint.route.endswith("/versions"))
    if endpoint.route != "/api/me"
]
#: Those who name the row in the body.
NAMING = [endpoint for endpoint in ENDPOINTS if "id" in (endpoint.body or {})]
NAMING.append(Endpoint(method="POST", path="/api/playground/run", least=Role.VIEWER, body={"id": world.PROMPT}))

GARBAGE = [
    "1",
    "x",
    "null",
    "DEFAULT",
    "%2e%2e",
    "%27%20OR%201=1--",
    "%F0%9F%92%A5",
    "%ED%A0%80",
    "%FF",
    "a" * 2000,
    world.NOWHERE,
    world.NOWHERE.replace("-", ""),
    "{" + world.NOWHERE + "}",
    "urn:uuid:" + world.NOWHERE,
]


@pytest.mark.both_databases
@pytest.mark.parametrize("endpoint", WITH_ID, ids=str)
def test_an_id_that_is_not_there_is_not_found_however_it_is_written(endpoint: Endpoint, static: APIClient) -> None:
    before = state()
    for id_ in GARBAGE:
        assert error_of(endpoint.call(static, path=endpoint.path_of(id_))) == (404, "not found"), id_
    assert state() == before


@pytest.mark.parametrize("endpoint", NAMING, ids=str)
def test_an_id_in_a_body_that_is_not_there_is_not_found(endpoint: Endpoint, static: APIClient) -> None:
    before = state()
    answer = endpoint.call(static, {**(endpoint.body or {}), "id": world.NOWHERE})
    assert error_of(answer) == (404, "not found")
    assert state() == before


@pytest.mark.parametrize("endpoint", [*WITH_ID, *NAMING], ids=str)
def test_a_row_of_a_workspace_that_the_caller_cannot_see_is_not_found_as_if_it_were_not_there(
    endpoint: Endpoint, static: APIClient, other_workspace: Workspace, login: Callable[..., APIClient]
) -> None:
    hidden = {**world.make(other_workspace.pk, known_ids=False), "workspaces": other_workspace.pk}
    default = Workspace.objects.get(pk="default")
    callers = []
    if endpoint.beyond != WORKSPACE:
        callers.append(api(tokens.create_token(actor=SYSTEM, workspace=default, name="app", role=Role.ADMIN)[1]))
    if endpoint.least != Role.ADMIN:
        callers.append(login(Role.EDITOR))
    before = state()
    for caller in callers:
        if endpoint.takes_an_id:
            answer = endpoint.call(caller, path=endpoint.path_of(hidden[endpoint.route.split("/")[2]]))
        else:
            answer = endpoint.call(caller, {**(endpoint.body or {}), "id": hidden["prompts"]})
        assert error_of(answer) == (404, "not found")
    assert state() == before


@pytest.mark.parametrize("endpoint", LISTS, ids=str)
@pytest.mark.parametrize("name", ["limit", "offset"])
def test_a_limit_or_an_offset_that_is_no_whole_number_is_refused_by_its_name(
    endpoint: Endpoint, name: str, static: APIClient
) -> None:
    for value in ("-1", "abc", "1.5", "1e3", "", " 1", "+1", "٣", "²", "0x10", "NaN", "null"):
        answer = static.get(endpoint.path, {name: value})
        assert error_of(answer) == (400, f"{name}: expected a whole number of 0 or more"), value
        assert list(answer.json()["fields"]) == [name]


@pytest.mark.both_databases
@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_a_limit_of_any_size_is_clamped_and_an_offset_of_any_size_is_beyond_the_end(
    endpoint: Endpoint, static: APIClient
) -> None:
    whole = static.get(endpoint.path).json()
    assert whole["total"] == len(whole["data"]) > 0
    for huge in ("1001", str(2**63), "9" * 3000):
        assert static.get(endpoint.path, {"limit": huge}).json()["data"] == whole["data"]
        assert static.get(endpoint.path, {"offset": huge}).json() == {"data": [], "total": whole["total"]}
    assert static.get(endpoint.path, {"limit": 0}).json() == {"data": [], "total": whole["total"]}


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("path", "default", "cap"),
    [("/api/audit", 50, 200), ("/api/runs", 50, 200), ("/api/workspaces", 200, 1000)],
)
def test_a_list_is_cut_at_its_default_and_at_its_cap(path: str, default: int, cap: int, static: APIClient) -> None:
    world.many(path.rpartition("/")[2], cap + 1)
    for query, length in ({}, default), ({"limit": cap}, cap), ({"limit": cap + 1}, cap), ({"limit": 3}, 3):
        answer = static.get(path, query).json()
        assert (len(answer["data"]), answer["total"] > cap) == (length, True)


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": ""},
        {"since": "2026-01-31"},
        {"since": "2026-01-31T12:00:00"},
        {"until": "2026-01-31T25:00:00Z"},
        {"until": "2026-02-30T12:00:00Z"},
        {"until": "1769860800"},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"since": "9999-12-31T23:59:59-14:00"},
        {"since": "10000-01-01T00:00:00Z"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"since": "0001-01-01T00:00:00Z"},
        {"until": "0001-01-01T00:30:00Z"},
        {"until": "9999-12-31T23:59:59Z"},
        {"since": "9999-12-31T23:30:00Z"},
        {"since": "2026-01-31T12:00:60Z"},
        {"until": "2026-01-31T12:00:00.1234567890123456789+99:99"},
        {"since": "Infinity"},
        {"until": "9" * 400},
        {"since": "\ud7ff\uffff"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/api/audit", "/api/runs", "/api/runs/stats", "/api/workflows/runs"])
def test_a_time_that_is_none_is_refused_by_its_name(path: str, query: dict[str, str], static: APIClient) -> None:
    answer = static.get(path, query)
    (name,) = query
    assert error_of(answer) == (400, f"{name}: expected an RFC 3339 time such as 2026-01-31T12:00:00Z")
    assert list(answer.json()["fields"]) == [name]


@pytest.mark.parametrize("value", ["content", "-nosuch", "key,nosuch", "key;", "", "--key", "environment__workspace"])
def test_an_ordering_by_what_cannot_be_ordered_by_is_refused(value: str, static: APIClient) -> None:
    answer = static.get("/api/prompts", {"ordering": value})
    assert error_of(answer)[0] == 400
    assert list(answer.json()["fields"]) == ["ordering"]


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.method == "GET"], ids=str)
def test_nul_in_an_address_is_refused_everywhere(endpoint: Endpoint, static: APIClient) -> None:
    for path in (
        f"{endpoint.path}?q=%00",
        f"{endpoint.path}?%00=1",
        f"{endpoint.path}?workspace=a%00b",
        f"{endpoint.path}%00",
    ):
        assert error_of(static.get(path)) == (400, "an address may hold no NUL character"), path


@pytest.mark.both_databases
@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_text_in_a_filter_that_is_no_utf_8_or_holds_wildcards_finds_nothing_and_breaks_nothing(
    endpoint: Endpoint, static: APIClient
) -> None:
    for value in ("%FF", "%ED%A0%80", "%25%25", "_____", "%27--", "%5C", "a" * 200):
        for name in ("q", "key", "env", "actor", "namespace"):
            assert static.get(f"{endpoint.path}?{name}={value}").status_code == 200, (name, value)


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/nope", "/api/prompts/", "/api/prompts//", "/api//prompts", "/api/prompts/x/y/z", "/api/Me"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_an_address_that_there_is_none_of_is_not_found_for_who_is_logged_in(
    path: str, method: str, static: APIClient, anonymous: APIClient
) -> None:
    assert error_of(static.generic(method, path)) == (404, "not found")
    assert error_of(anonymous.generic(method, path))[0] == 401


ROUTES = sorted({endpoint.route: endpoint for endpoint in ENDPOINTS}.items())


@pytest.mark.parametrize("endpoint", [endpoint for _, endpoint in ROUTES], ids=lambda endpoint: endpoint.route)
def test_a_method_that_an_address_has_not_is_405_and_says_which_there_are(
    endpoint: Endpoint, static: APIClient
) -> None:
    there = {other.method for other in ENDPOINTS if other.route == endpoint.route}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - there:
        answer = static.generic(method, endpoint.path)
        assert error_of(answer) == (405, f'Method "{method}" not allowed.')
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD"} == there


@pytest.mark.both_databases
@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_no_filter_of_a_list_fails_by_a_value_that_nobody_would_send(endpoint: Endpoint, static: APIClient) -> None:
    schema = SchemaGenerator().get_schema(public=True)
    parameters = schema["paths"][endpoint.route]["get"].get("parameters", [])
    names = [one["name"] for one in parameters if one["in"] == "query"]
    for name in names:
        for value in ("9" * 400, "-1", "1e400", "\ufffd\uffff\U0010ffff", "0001-01-01T00:00:00+14:00", "'\"\\;--%_"):
            answer = static.get(endpoint.path, {name: value})
            assert answer.status_code in {200, 400, 404}, (name, value)
            if answer.status_code == 400:
                assert list(answer.json()["fields"]) == [name]
        assert static.get(f"{endpoint.path}?{name}=%ED%A0%80%FF").status_code in {200, 400, 404}, name
