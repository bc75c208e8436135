"""Every type of step, as it runs over the API."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient
from werkzeug import Response

from tests.workflows.conftest import MakeWorkflow, Place
from tests.workflows.test_workflows import MakePrompt, render, run

ITEMS = {"items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]}


def extract(path: str, **fields: Any) -> dict[str, Any]:
    return {"type": "extract", "path": path, **fields}


def output(client: APIClient, workflow: dict[str, Any], **variables: Any) -> Any:
    answer = run(client, workflow, variables=variables)
    assert answer.status_code == 200, answer.json()
    return answer.json()["output"]


@pytest.mark.parametrize(
    ("fields", "given", "expected"),
    [
        ({"op": "json_parse"}, '{"a": [1, null]}', {"a": [1, None]}),
        ({"op": "json_parse"}, "some say\n", None),
        ({"op": "json_parse"}, '```json\n{"a": 1}\n```', {"a": 1}),
        ({"op": "json_format"}, {"a": [1, "é"]}, '{"a":[1,"é"]}'),
        ({"op": "json_format", "indent": 1}, {"a": 1}, '{\n "a": 1\n}'),
        ({"op": "replace", "find": "a.", "replacement": "x"}, "a.ab", "xab"),
        ({"op": "split", "separator": ", "}, "a, b, c", ["a", "b", "c"]),
        ({"op": "split", "separator": ",", "limit": 2}, "a,b,c", ["a", "b,c"]),
        ({"op": "lines"}, "a\nb\n", ["a", "b"]),
        ({"op": "join", "separator": "-"}, ["a", 1, {"b": 2}], 'a-1-{"b":2}'),
        ({"op": "join"}, "text", None),
        ({"op": "truncate", "length": 4, "ellipsis": "…"}, "abcdef", "abc…"),
        ({"op": "truncate", "length": 4}, "abc", "abc"),
        ({"op": "unique"}, [1, "a", 1, {"b": 1}, {"b": 1}], [1, "a", {"b": 1}]),
        ({"op": "length"}, "abc", 3),
        ({"op": "length"}, [1, 2], 2),
        ({"op": "upper"}, {"a": "b"}, '{"A":"B"}'),
    ],
)
def test_a_transform_makes_of_its_input_what_its_op_says_or_fails(
    viewer: APIClient, make_workflow: MakeWorkflow, fields: dict[str, Any], given: Any, expected: Any
) -> None:
    answer = run(viewer, make_workflow({"type": "transform", **fields}), variables={"input": given})
    if expected is None:
        assert (answer.status_code, answer.json()["code"]) == (502, "step_failed")
    else:
        assert (answer.status_code, answer.json()["output"]) == (200, expected)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (extract("input.items[0].name"), "a"),
        (extract("input.items[?n > `1`].name"), ["b"]),
        (extract("length(input.items)"), 2),
        (extract("input.nobody"), None),
        (extract("input.nobody", default=[1]), [1]),
        (extract("{first: input.items[0].n, all: input.items[*].name}"), {"first": 1, "all": ["a", "b"]}),
        (extract("unit"), "metric"),
    ],
)
def test_an_extract_takes_what_its_path_finds_in_all_that_the_step_sees(
    viewer: APIClient, make_workflow: MakeWorkflow, step: dict[str, Any], expected: Any
) -> None:
    assert output(viewer, make_workflow(step), input=ITEMS, unit="metric") == expected


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (extract("input.nobody", required=True), "input.nobody: nothing is found there"),
        (extract("length(input.items[0].n)"), "length(input.items[0].n): "),
        (extract("[@,@,@,@][]" + "|[@,@,@,@][]" * 10), "it makes too much of what it is given"),
        (extract("[@,@,@,@]" + "|[@,@,@,@]" * 10), "it makes too much of what it is given"),
        (extract("to_string(@)" + "|join(@,[@,@,@])" * 20), "it makes too much of what it is given"),
    ],
    ids=["nothing", "no list", "doubled lists", "doubled references", "doubled texts"],
)
def test_an_extract_that_finds_nothing_fits_nothing_or_makes_too_much_fails(
    viewer: APIClient, make_workflow: MakeWorkflow, step: dict[str, Any], words: str
) -> None:
    failed = run(viewer, make_workflow(step), variables={"input": ITEMS})
    assert (failed.status_code, failed.json()["code"]) == (502, "step_failed")
    assert words in failed.json()["error"]


def test_later_steps_reach_earlier_ones_by_templates_and_by_paths(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(
        {"id": "first", **extract("input.items")},
        {"name": "greeting", **render("Hello {{steps.first.output}} {{input}}")},
        {"type": "transform", "op": "length", "input": "steps.first.output"},
        render("{{input}} {{steps.greeting.output}}|{{steps.first.skipped}}"),
    )
    [_, greeting, length, last] = run(viewer, workflow, variables={"input": ITEMS}).json()["steps"]
    items = '[{"name":"a","n":1},{"name":"b","n":2}]'
    assert (greeting["output"], length["output"]) == (f"Hello {items} {items}", 2)
    assert last["output"] == f"2 Hello {items} {items}|false"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"path": "input.n", "op": "eq", "value": 1}, True),
        ({"path": "input.n", "op": "eq", "value": True}, False),
        ({"path": "input.n", "op": "eq", "value": "1"}, False),
        ({"path": "input.n", "op": "gte", "value": 1.0}, True),
        ({"path": "input.n", "op": "lt", "value": "2"}, False),
        ({"path": "input.text", "op": "starts_with", "value": "He"}, True),
        ({"path": "input.text", "op": "in", "value": ["Hello", "Bye"]}, True),
        ({"path": "input.list", "op": "contains", "value": {"a": 1}}, True),
        ({"path": "input.list", "op": "contains", "value": {"a": True}}, False),
        ({"path": "input.nobody", "op": "exists"}, False),
        ({"path": "input.none", "op": "empty"}, True),
        ({"path": "length(input.n)", "op": "eq", "value": 1}, False),
        ({"not": {"path": "input.nobody", "op": "exists"}}, True),
        (
            {
                "and": [
                    {"path": "input.n", "op": "ne", "value": 2},
                    {"path": "input.text", "op": "ends_with", "value": "o"},
                ]
            },
            True,
        ),
        ({"or": [{"path": "input.n", "op": "eq", "value": 2}, {"path": "input.n", "op": "eq", "value": 3}]}, False),
    ],
)
def test_a_step_is_done_when_its_condition_holds_and_skipped_when_not(
    viewer: APIClient, make_workflow: MakeWorkflow, condition: dict[str, Any], holds: bool
) -> None:
    workflow = make_workflow({"id": "maybe", "when": condition, **render("done")}, render("{{steps.maybe.output}}"))
    given = {"n": 1, "text": "Hello", "list": [{"a": 1}], "none": ""}
    [maybe, last] = run(viewer, workflow, variables={"input": given}).json()["steps"]
    assert maybe.get("skipped", False) is not holds
    assert (last["output"], last["missing"]) == (
        ("done", []) if holds else ("{{steps.maybe.output}}", ["steps.maybe.output"])
    )


@pytest.mark.parametrize(
    ("kind", "names", "last"),
    [
        ("refund", ["route", "refund", "condition-3"], "refund: text"),
        ("order", ["route", "other"], "other: text"),
        ("none", ["route"], "text"),
    ],
)
def test_a_condition_goes_on_at_the_branch_that_holds_and_hands_its_input_on(
    viewer: APIClient, make_workflow: MakeWorkflow, kind: str, names: list[str], last: str
) -> None:
    workflow = make_workflow(
        {
            "name": "route",
            "type": "condition",
            "branches": [
                {"when": {"path": "kind", "op": "eq", "value": "refund"}, "goto": "refund"},
                {"when": {"path": "kind", "op": "eq", "value": "none"}, "goto": "end"},
            ],
            "otherwise": "other",
        },
        {"name": "refund", **render("refund: {{input}}")},
        {"type": "condition", "branches": [], "otherwise": "end"},
        {"name": "other", **render("other: {{input}}")},
    )
    body = run(viewer, workflow, variables={"input": "text", "kind": kind}).json()
    assert ([step["name"] for step in body["steps"]], body["output"]) == (names, last)


def test_a_map_runs_its_steps_for_each_item_in_order_whatever_ends_first(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    inner = [
        {"type": "wait", "seconds": 0.05, "when": {"path": "index", "op": "eq", "value": 0}},
        {"name": "line", **render("{{index}}:{{item.name}}:{{steps.all.output}}")},
        {"type": "model", "prompt": "{{steps.line.output}}"},
    ]
    workflow = make_workflow(
        {"name": "all", **render("x")}, {"type": "map", "input": "list", "steps": inner, "concurrency": 2}
    )
    body = run(viewer, workflow, variables={"list": ITEMS["items"]}).json()
    assert body["output"] == ["mock completion for: 0:a:x", "mock completion for: 1:b:x"]
    entry = body["steps"][1]
    assert (entry["items"], entry["prompt_tokens"], entry["output_tokens"]) == (2, 2, 12)
    row = viewer.get(f"/api/runs/{body['run_id']}").json()["data"]
    assert (row["prompt_tokens"], row["output_tokens"]) == (2, 12)
    children = viewer.get("/api/runs", {"parent_id": body["run_id"]}).json()["data"]
    assert [(child["source"], child["ref_key"], child["status"]) for child in children] == [("model", "flow", "ok")] * 2


def test_an_item_that_fails_ends_its_map_and_is_named(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    inner = [{"name": "parse", "type": "transform", "op": "json_parse"}]
    workflow = make_workflow({"type": "map", "steps": inner})
    failed = run(viewer, workflow, variables={"input": ["1", "{", "3"]})
    assert failed.status_code == 502
    assert failed.json()["error"].startswith("item 1: parse: the input is not valid JSON")
    kept = make_workflow({"type": "map", "steps": [{**inner[0], "on_error": "continue"}]}, key="kept")
    assert output(viewer, kept, input=["1", "{", "3"]) == [1, "{", 3]


def test_a_map_goes_through_lists_only(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow({"type": "map", "steps": [render("x")]})
    failed = run(viewer, workflow, variables={"input": "text"})
    assert (failed.status_code, failed.json()["error"]) == (502, "expected a list to go through, not a text")
    assert output(viewer, workflow, input=[]) == []


def test_a_validate_lets_through_what_fits_and_says_what_does_not(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    workflow = make_workflow({"type": "validate", "schema": schema})
    assert output(viewer, workflow, input={"n": 1}) == {"n": 1}
    failed = run(viewer, workflow, variables={"input": {"n": "x"}})
    assert failed.status_code == 502
    assert failed.json()["error"].startswith("the input does not fit the schema: n: ")


def test_an_agent_is_run_as_a_part_of_the_run(
    editor: APIClient, viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    editor.post("/api/agents", {"key": "helper", "prompt": "Help {{who}} with {{input}}", "provider": "mock"})
    workflow = make_workflow(
        render("maths"), {"type": "agent", "agent_key": "helper", "variables": {"who": "{{name}}"}}
    )
    body = run(viewer, workflow, variables={"name": "Ada"}).json()
    assert body["output"] == "mock completion for: Help Ada with maths"
    [child] = viewer.get("/api/runs", {"parent_id": body["run_id"]}).json()["data"]
    assert (child["source"], child["ref_key"], child["id"]) == ("agent", "helper", body["steps"][1]["run_id"])
    absent = make_workflow({"type": "agent", "agent_key": "nobody"}, key="absent")
    failed = run(viewer, absent)
    assert (failed.status_code, failed.json()["error"]) == (502, "there is no agent nobody")


def test_a_workflow_runs_another_ones_live_version_and_gets_its_outputs(
    editor: APIClient, viewer: APIClient, make_workflow: MakeWorkflow, make_prompt: MakePrompt
) -> None:
    inner = make_workflow(
        {"name": "count", "type": "transform", "op": "length", "input": "list"},
        key="inner",
        inputs={"list": {"type": "array", "required": True}},
        outputs={"n": {"path": "steps.count.output"}, "said": "{{input}} of {{steps.count.output}}"},
    )
    editor.post("/api/workflows/publish", {"id": inner["id"]})
    editor.patch(f"/api/workflows/{inner['id']}", {"steps": [render("draft")], "outputs": {}})
    step = {"id": "call", "type": "workflow", "workflow_key": "inner", "variables": {"list": "{{things}}"}}
    outer = make_workflow(step, render("{{steps.call.output.n}} {{steps.call.version}}"), key="outer")
    body = run(viewer, outer, variables={"things": [1, 2, 3]}).json()
    assert body["steps"][0]["output"] == {"n": 3, "said": "3 of 3"}
    assert body["output"] == "3 v1"
    failed = run(viewer, outer, variables={"things": "text"})
    assert (failed.status_code, failed.json()["error"]) == (502, "inner: variables: list: expected an array")


def test_workflows_that_would_run_themselves_are_refused_and_what_cannot_be_seen_ends(
    editor: APIClient, viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    def call(key: str) -> dict[str, Any]:
        return {"type": "workflow", "workflow_key": key}

    for steps in ([call("a")], [{"type": "map", "steps": [call("a")]}]):
        refused = editor.post("/api/workflows", {"key": "a", "steps": steps})
        assert (refused.status_code, refused.json()["error"]) == (400, "steps: the workflow a would run itself")
    make_workflow(call("b"), key="a")  # there is no b yet
    assert editor.post("/api/workflows", {"key": "b", "steps": [call("a")]}).status_code == 400
    for number in range(6):
        make_workflow(call(f"deep-{number - 1}") if number else render("bottom"), key=f"deep-{number}")
    rows = {row["key"]: row for row in viewer.get("/api/workflows").json()["data"]}
    assert output(viewer, rows["deep-3"]) == "bottom"
    failed = run(viewer, rows["deep-4"])
    assert (failed.status_code, "4 deep at most" in failed.json()["error"]) == (502, True)


def test_an_http_step_sends_what_it_says_and_gives_what_is_answered(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    workflow = make_workflow(
        {
            "id": "call",
            "type": "http",
            "method": "POST",
            "url": f"{place.url}/things/{{{{name}}}}?q={{{{q}}}}",
            "headers": {"X-Name": "is {{q}}"},
            "json": {"list": "{{list}}", "text": "<{{list}}>", "n": 1},
        },
        extract("{n: steps.call.output.n, names: input.items[*].name, status: steps.call.status}"),
    )
    body = run(viewer, workflow, variables={"name": "a/b é", "q": "x&y=1", "list": [1, "two"]}).json()
    assert body["output"] == {"n": 1, "names": ["a", "b"], "status": 200}
    [request] = place.requests
    assert request.environ["RAW_URI"] == "/things/a%2Fb%20%C3%A9?q=x%26y%3D1"
    assert json.loads(request.get_data()) == {"list": [1, "two"], "text": '<[1,"two"]>', "n": 1}
    assert (request.headers["X-Name"], request.headers["User-Agent"]) == ("is x&y=1", "PromptOps")
    assert request.headers["Idempotency-Key"] == f"{body['run_id']}/call"


@pytest.mark.parametrize(
    ("handler", "words", "code"),
    [
        (lambda request: Response("no", 500), "answered 500", "http_failed"),
        (lambda request: Response("", 302, {"Location": "http://127.0.0.1:1/"}), "answered 302", "http_failed"),
        (lambda request: Response("x" * 1_100_000), "answered with over 1048576 bytes", "http_failed"),
        (lambda request: Response("{", content_type="application/json"), "can't be used", "step_failed"),
        (lambda request: Response("x", headers={"Content-Encoding": "gzip"}), "compressed", "http_failed"),
    ],
    ids=["500", "redirect", "too much", "no JSON", "compressed"],
)
def test_an_http_step_fails_with_the_answer_and_follows_no_redirect(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, handler: Any, words: str, code: str
) -> None:
    place.handler = handler
    failed = run(viewer, make_workflow({"type": "http", "url": f"{place.url}/x"}))
    assert (failed.status_code, failed.json()["code"], words in failed.json()["error"]) == (502, code, True)
    assert len(place.requests) == 1


def test_an_http_step_takes_statuses_that_it_accepts(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    place.handler = lambda request: Response("gone", 404, content_type="text/plain")
    workflow = make_workflow({"type": "http", "url": f"{place.url}/x", "accept_statuses": [404]})
    body = run(viewer, workflow).json()
    assert (body["output"], body["steps"][0]["status"]) == ("gone", 404)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://127.0.0.1/",
        "https://{{host}}/",
        "https://a.example{{host}}/",
        "https://user:pw@a.example/",
        "ftp://a.example/",
        "https://a.example/#x",
        "a.example",
        "",
        5,
    ],
)
def test_an_http_step_to_a_place_that_may_not_be_called_or_that_a_variable_names_is_refused(
    editor: APIClient, url: Any
) -> None:
    refused = editor.post("/api/workflows", {"key": "x", "steps": [{"type": "http", "url": url}]})
    assert (refused.status_code, list(refused.json()["fields"]["steps"]["0"])) == (400, ["url"])


def test_a_variable_cannot_make_an_url_go_up_or_a_header_break(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    up = make_workflow({"type": "http", "url": f"{place.url}/things/{{{{name}}}}/x"}, key="up")
    header = make_workflow({"type": "http", "url": place.url, "headers": {"X": "{{name}}"}}, key="header")
    for workflow, name in ((up, ".."), (up, "."), (header, "a\r\nY: b")):
        refused = run(viewer, workflow, variables={"name": name})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["variables"])
    assert run(viewer, up).json()["fields"] == {"variables": ["name"]}
    assert place.requests == []


def test_an_approval_and_a_long_wait_put_the_run_aside_and_a_short_one_does_not(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    short = make_workflow({"type": "wait", "seconds": 0.2}, key="short")
    assert output(viewer, short, input={"a": 1}) == {"a": 1}
    for step in ({"type": "approval", "message": "Send {{input}}?"}, {"type": "wait", "seconds": 3600}):
        answer = run(viewer, make_workflow(render("x"), {"name": "hold", **step}, key=str(step["type"])))
        assert (answer.status_code, "run_id" in answer.json()) == (202, True)


def test_statistics_count_what_a_workflow_used_once(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow(render("Hello Ada"), {"type": "model"}, {"type": "model"})
    body = run(viewer, workflow).json()
    used = {name: sum(step.get(name, 0) for step in body["steps"]) for name in ("prompt_tokens", "output_tokens")}
    row = viewer.get(f"/api/runs/{body['run_id']}").json()["data"]
    statistics = viewer.get("/api/runs/stats").json()
    assert used == {name: row[name] for name in used} == {name: statistics[name] for name in used}
    assert statistics["total"] == 3


CHARSETS = [
    ("text/plain; charset=iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
    ('text/plain; charset="windows-1252"; x=y', "“€”".encode("cp1252"), "“€”"),
    ("text/html;charset=Shift_JIS", "質問".encode("shift_jis"), "質問"),
    ("text/plain; charset=utf-16", "Grüße".encode("utf-16"), "Grüße"),
    ("text/plain", "\ufeffGrüße".encode(), "Grüße"),
    ("text/plain; charset=nobody-knows", "Grüße".encode(), "Grüße"),
    ("text/plain; charset=zlib", b"x\x9c\x00", "x\ufffd\ufffd"),
    ("text/plain; charset=unicode_escape", rb"\u0041", r"\u0041"),
    ("text/plain", b"a\x00\xff", "a\ufffd\ufffd"),
]


@pytest.mark.parametrize(("kind", "raw", "text"), CHARSETS)
def test_an_answer_is_read_by_the_charset_that_it_names(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, kind: str, raw: bytes, text: str
) -> None:
    place.handler = lambda request: Response(raw, content_type=kind)
    assert output(viewer, make_workflow({"type": "http", "url": place.url})) == text


@pytest.mark.parametrize(
    ("charset", "given"), [("utf-8", "utf-8-sig"), ("iso-8859-1", "latin-1"), ("utf-16", "utf-16")]
)
def test_json_is_read_by_its_charset_too_and_what_is_none_fails(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, charset: str, given: str
) -> None:
    workflow = make_workflow({"type": "http", "url": place.url})
    place.handler = lambda request: Response(
        '{"a": "ü"}'.encode(given), content_type=f"application/json; charset={charset}"
    )
    assert output(viewer, workflow) == {"a": "ü"}
    place.handler = lambda request: Response(b'{"a": "\xff"}', content_type="application/json")
    assert "can't be used: it is not utf-8" in run(viewer, workflow).json()["error"]


@pytest.mark.parametrize(
    "field",
    [
        {"json": {"order": "{{nope}}", "note": "for {{nope}}"}},
        {"json": [["{{nope.deep}}"]]},
        {"body": "for {{nope}}"},
        {"headers": {"X-Order": "{{nope}}"}},
        {"url": "/x/{{nope}}"},
        {"url": "/x?q={{nope}}"},
    ],
)
def test_a_name_without_a_value_is_told_and_nothing_is_sent_wherever_it_stands_in_an_http_step(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, field: dict[str, Any]
) -> None:
    step = {"type": "http", "method": "POST", **field, "url": place.url + field.get("url", "/x")}
    failed = run(viewer, make_workflow(step))
    assert (failed.status_code, "there is no value for nope" in failed.json()["error"]) == (400, True)
    assert failed.json()["fields"]["variables"][0].startswith("nope")
    assert place.requests == []


def test_names_without_a_value_in_what_an_agent_and_a_workflow_are_given_are_told_in_the_trace(
    viewer: APIClient, editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    editor.post("/api/agents", {"key": "helper", "prompt": "{{a}} {{b}}", "env": "prod"})
    make_workflow(render("{{a}}"), key="other")
    given = {"variables": {"a": "for {{nope}}"}}
    flow = make_workflow(
        {"type": "agent", "agent_key": "helper", **given}, {"type": "workflow", "workflow_key": "other", **given}
    )
    steps = run(viewer, flow).json()["steps"]
    assert [step["missing"] for step in steps] == [["nope", "b"], ["nope"]]
