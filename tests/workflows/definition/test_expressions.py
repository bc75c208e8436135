"""What editors write to be evaluated, at its worst: bounded in time and memory, and never in the way of others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from agents.runtime import schemas
from agents.transport import bridge
from governance.core.errors import InvalidInputError
from tests.workflows.conftest import MakeWorkflow
from tests.workflows.test_workflows import render, run
from workflows.language import paths, values

pytestmark = pytest.mark.django_db
WIDE = {"items": [[n] for n in range(100_000)], "text": "x" * 900_000, "many": ["y" * 99] * 9_000}


@contextmanager
def at_rest_within(seconds: float) -> Iterator[None]:
    """The loop of model calls takes its turn again within so many seconds, whatever happens in the block."""
    worst, over = 0.0, threading.Event()

    def look() -> None:
        nonlocal worst
        while not over.wait(0.01):
            asked, told = time.monotonic(), threading.Event()
            bridge.loop().call_soon_threadsafe(told.set)
            told.wait(30)
            worst = max(worst, time.monotonic() - asked)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert worst < seconds


@pytest.mark.parametrize(
    "path",
    [
        "sort(map(&to_string(@), items))",
        "map(&to_string(@), [items, items, items, items, items, items])",
        "join(text, [text, text, text])",
        "join('', [text, text, text])",
        "to_string([many, many, many, many])",
        "[" + ",".join(["@"] * 90) + "]" + " | [*][*][*]" * 3,
        "[items, items][?sort_by(@, &[0])]",
        "[items, items, items, items][?@[?@[0] == `-1`]]",
        "items[*].[@, @, @, @] | [*][*]",
        "max_by(items, &sum(@)) || items[*].[*]",
        "{a: @, b: @, c: @} | {a: @, b: @, c: @} | {a: @, b: @, c: @} | to_string(@)",
    ],
)
def test_a_path_that_would_make_gigabytes_or_take_for_ever_is_stopped(path: str) -> None:
    started = time.thread_time()
    with pytest.raises(paths.TooMuchError):
        paths.search(path, WIDE, paths.Clock(0.3))
    assert time.thread_time() - started < 2


def test_the_clock_stops_what_is_not_too_much_by_its_count() -> None:
    with pytest.raises(paths.TooMuchError):
        paths.search("items[*][0]", WIDE, paths.Clock(0.001))
    assert len(paths.search("items[*][0]", WIDE, paths.Clock(10))) == 100_000


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"items": {"type": "string"}}] * 700}, [1] * 90_000 + ["a"]),
        ({"allOf": [{"items": {"minimum": 0}}] * 700}, [1] * 400_000),
        ({"items": {"pattern": r"^(\w{1,99}x?){1,30}!$"}}, ["a" * 1000] * 900),
        ({"items": {"pattern": r"^(?=(a+)+b)(a|aa)+$"}}, ["a" * 40] * 10_000),
        (
            {
                "$defs": {
                    "deep": {
                        "anyOf": [{"items": {"$ref": "#/$defs/deep"}, "not": {}}, {"items": {"$ref": "#/$defs/deep"}}]
                    }
                },
                "allOf": [{"$ref": "#/$defs/deep"}, {"items": {"$ref": "#/$defs/deep"}, "not": {}}],
            },
            None,
        ),
    ],
)
def test_a_schema_that_would_take_for_ever_is_stopped_and_holds_nobody_up(schema: Any, value: Any) -> None:
    if value is None:
        value = 1
        for _ in range(60):
            value = [value, value] if isinstance(value, int) else [value]
    with at_rest_within(5):  # one that is held up waits for as long as all of it takes
        started = time.monotonic()
        bridge.run(schemas.problem, schema, value)
        assert time.monotonic() - started < 15
    assert bridge.run(schemas.problem, {"type": "string"}, 1) == '1 is not of type "string"'


def test_a_worker_that_was_ended_from_outside_is_no_fault_of_the_next_schema() -> None:
    assert bridge.run(schemas.problem, {"type": "string"}, "x") is None
    assert schemas._threads is not None
    process = schemas._threads[2]._process
    assert process is not None
    process.terminate()
    process.wait(10)
    assert bridge.run(schemas.problem, {"type": "string"}, "x") is None
    assert bridge.run(schemas.problem, {"type": "string"}, 1) == '1 is not of type "string"'


def test_a_schema_that_takes_too_long_to_prepare_is_refused_when_it_is_saved() -> None:
    slow = {"allOf": [{"pattern": rf"(\w{{90}}){{9}}{place}"} for place in range(900)]}
    with pytest.raises(InvalidInputError) as refused:
        schemas.check(slow, field="schema", allowance=schemas.Allowance(0.1))
    assert list(refused.value.fields or {}) == ["schema"]


def test_the_schemas_of_one_save_have_their_time_together(editor: APIClient) -> None:
    steps = [
        {"type": "validate", "schema": {"allOf": [{"pattern": rf"(\w{{60}}){{{n}}}{place}"} for place in range(600)]}}
        for n in range(1, 40)
    ]
    started = time.monotonic()
    refused = editor.post("/api/workflows", {"key": "x", "steps": steps})
    assert (refused.status_code, "JSON Schema" in refused.json()["error"]) == (400, True)
    assert time.monotonic() - started < 15


GREEDY: dict[str, Callable[[int], dict[str, Any]]] = {
    "extract": lambda n: {"type": "extract", "path": "[items, items][?sort_by(@, &[0])]", "on_error": "continue"},
    "input": lambda n: {"type": "render", "template": "x", "input": "items[*].[@, @] | [*][*]", "on_error": "continue"},
    "when": lambda n: {
        "type": "render",
        "template": "x",
        "when": {"or": [{"path": "map(&sum(@), items)", "op": "eq", "value": n}] * 40},
        "on_error": "continue",
    },
    "validate": lambda n: {
        "type": "validate",
        "input": "items",
        "schema": {"allOf": [{"items": {"items": {"minimum": 0}}}] * 700},
        "on_error": "continue",
    },
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_run_has_one_budget_for_all_its_expressions_and_says_when_it_is_spent(
    viewer: APIClient, make_workflow: MakeWorkflow, settings: Settings, kind: str
) -> None:
    settings.PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS = 0.5
    steps = [GREEDY[kind](place) for place in range(20)]
    flow = make_workflow(*steps)
    with at_rest_within(5):  # one that is held up waits for as long as all of it takes
        started = time.monotonic()
        answer = run(viewer, flow, variables={"items": [[n] for n in range(50_000)]})
        assert time.monotonic() - started < 60  # much more than it takes by itself: others may be at work here
    assert (answer.status_code, answer.json()["code"]) == (502, "run_limit"), answer.json()["error"]
    assert "may take 0.5 seconds in all" in answer.json()["error"]
    assert answer.json()["steps"][-1]["error"] == answer.json()["error"].partition(": ")[2] or answer.json()["error"]


@pytest.mark.parametrize("path", ["@", "steps", "[@]", "{all: @}", "steps.first"])
def test_an_output_that_is_the_whole_scope_is_plain_json_and_never_holds_itself(
    viewer: APIClient, make_workflow: MakeWorkflow, path: str
) -> None:
    answer = run(
        viewer,
        make_workflow(
            {"id": "first", **render("hi")},
            {"id": "all", "type": "extract", "path": path},
            {"id": "text", **render("{{steps.all.output}}")},
            {"id": "again", "type": "extract", "path": path},
            {"type": "map", "input": "[@, steps]", "steps": [{"type": "extract", "path": "[@, item]"}]},
            outputs={"all": {"path": path}, "text": "{{steps}}"},
        ),
        variables={"input": "x"},
    )
    assert answer.status_code == 200, answer.json()
    assert values.check_size(answer.json()["outputs"]["all"]) < 100_000


@pytest.mark.parametrize(
    "step",
    [
        {"type": "extract", "path": "@"},
        render("{{steps}}"),
        {"type": "model", "prompt": "for {{steps}}"},
        {"type": "condition", "input": "steps", "branches": []},
        {"type": "map", "input": "[@]", "steps": [render("x")]},
        {"type": "workflow", "workflow_key": "other", "variables": {"input": "{{steps}}"}},
        {"type": "http", "url": "https://example.com/", "method": "POST", "json": {"all": "{{steps}}"}},
    ],
)
def test_a_value_that_is_too_large_is_an_error_of_its_step_that_on_error_and_retry_are_for(
    viewer: APIClient, make_workflow: MakeWorkflow, step: dict[str, Any]
) -> None:
    make_workflow(render("{{input}}"), key="other")
    large = [{"id": f"large_{n}", **render("{{input}}")} for n in range(3)]
    tried = {"id": "tried", **step, "on_error": {"goto": "after"}, "retry": {"max": 1, "backoff": 0}}
    flow = make_workflow(*large, tried, {"id": "after", **render("{{steps.tried.error}}")})
    answer = run(viewer, flow, variables={"input": "x" * 500_000})
    assert answer.status_code == 200, answer.json()["error"]
    assert "over 1048576 characters" in answer.json()["output"]


def test_a_reference_that_repeats_itself_is_measured_without_being_written_out() -> None:
    one: Any = ["x"]
    for _ in range(50):
        one = [one] * 1000
    round_: list[Any] = []
    round_.append(round_)
    for value in (one, round_, {"a": [10**4200] * 1000}, [float("nan")]):
        with pytest.raises(values.TooLargeError):
            values.check_size(value)
