"""What is refused when it is saved; and that whatever is not refused runs to an end."""

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # comes with drf-spectacular
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from governance.actors import SYSTEM
from governance.errors import DomainError, InvalidInputError
from governance.models import Workspace
from tests.contract import world
from tests.workflows.conftest import MakeWorkflow
from tests.workflows.test_workflows import render, run
from workflows import definition, execution, schema
from workflows.models import Workflow
from workflows.serializers import WorkflowImportSerializer
from workflows.services import create_workflow
from workflows.steps import STEP_TYPES

HOLDS = {"path": "input", "op": "exists"}


def call(**fields: Any) -> dict[str, Any]:
    return {**render("x"), **fields}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [call(template="{{steps.x.output}}")],
            "steps[0]: template: steps.x.output: there is no step x before this one",
        ),
        ([call(template="{{steps.x.output}}"), call(id="x")], "steps[0]: template: steps.x.output: there is no step x"),
        ([call(id="x"), call(template="{{steps.x.ouput}}")], "steps[1]: template: steps.x.ouput: a step gives error, "),
        ([call(template="{{inputs.x}}")], "steps[0]: template: inputs.x: there is no input x"),
        ([call(id="x"), call(id="x")], "steps[1]: id: another step has this id"),
        ([call(id="end")], "steps[0]: id: end is where a run goes"),
        ([call(id="a-b")], "steps[0]: id: expected letters, digits and _"),
        ([call(input="steps.x")], "steps[0]: input: steps.x: there is no step x"),
        ([call(input="a[")], "steps[0]: input: expected a JMESPath expression"),
        ([call(input="(" * 900)], "steps[0]: input: expected a JMESPath expression"),
        ([call(input="nothing(@)")], "steps[0]: input: there is no function nothing()"),
        ([call(input="length()")], "steps[0]: input: length() takes 1 argument, not 0"),
        ([call(when={})], "steps[0]: when: path: "),
        ([call(when=[])], "steps[0]: when: expected an object"),
        ([call(when={**HOLDS, "op": "is"})], "steps[0]: when: op: expected one of: eq, "),
        ([call(when={**HOLDS, "value": 1})], "steps[0]: when: value: exists compares with nothing"),
        ([call(when={**HOLDS, "op": "eq"})], "steps[0]: when: value: required"),
        ([call(when={"and": []})], "steps[0]: when: and: expected a list"),
        ([call(when={"not": HOLDS, "or": [HOLDS]})], "steps[0]: when: expected or alone"),
        (
            [call(when={"path": "steps.x.output", "op": "exists"})],
            "steps[0]: when: path: steps.x.output: there is no step",
        ),
        ([call(retry={"max": 11})], "steps[0]: retry: max: "),
        ([call(retry={"max": True})], "steps[0]: retry: max: expected a whole number"),
        ([call(retry={"max": 1, "on": ["x"]})], "steps[0]: retry: on: "),
        ([call(timeout=0)], "steps[0]: timeout: "),
        ([call(timeout="1")], "steps[0]: timeout: expected a number"),
        ([call(on_error="stop")], "steps[0]: on_error: expected fail, continue"),
        ([call(id="a"), call(on_error={"goto": "a"})], "steps[1]: on_error: goto: there is no step a after this one"),
        (
            [{"type": "condition", "branches": [{"when": HOLDS, "goto": "x"}]}],
            "steps[0]: branches: 0: goto: there is no step",
        ),
        ([{"type": "condition"}], "steps[0]: branches: "),
        ([{"type": "map", "steps": []}], "steps[0]: steps: expected 1 to 50 steps"),
        ([{"type": "map", "steps": [call(), {"type": "x"}]}], "steps[0]: steps[1]: type: expected one of: "),
        (
            [{"type": "map", "steps": [call(id="in")]}, call(template="{{steps.in.output}}")],
            "steps[1]: template: steps.in",
        ),
        ([{"type": "validate", "schema": {"type": "nothing"}}], "steps[0]: schema: expected a JSON Schema"),
        ([{"type": "transform", "op": "upper", "find": "x"}], "steps[0]: find: does not go with op upper"),
        ([{"type": "transform", "op": "replace"}], "steps[0]: find: required"),
        ([{"type": "http", "url": "https://a.example/", "json": 1, "body": "x"}], "steps[0]: json: does not go with"),
        ([{"type": "http", "url": "https://a.example/", "headers": {"a b": "x"}}], "steps[0]: headers: a b: "),
        ([{"type": "http", "url": "https://a.example/", "headers": {"Host": "x"}}], "steps[0]: headers: Host: "),
        ([{"type": "agent", "agent_key": "a", "variables": {"x": ["{{steps.y}}"]}}], "steps[0]: variables: steps.y: "),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_a_step_that_could_not_work_is_refused_by_its_place_and_field(
    editor: APIClient, steps: list[dict[str, Any]], said: str
) -> None:
    refused = editor.post("/api/workflows", {"key": "x", "steps": steps})
    body = refused.json()
    assert (refused.status_code, list(body["fields"])) == (400, ["steps"])
    assert body["error"].startswith(said), body["error"]


def test_maps_go_so_deep_and_a_definition_has_so_many_steps(editor: APIClient) -> None:
    steps = [render("x")]
    for depth in range(4):
        answer = editor.post("/api/workflows", {"key": f"x{depth}", "steps": steps})
        assert answer.status_code == 201
        steps = [{"type": "map", "steps": steps}]
    assert "at most 3 deep" in editor.post("/api/workflows", {"key": "deep", "steps": steps}).json()["error"]
    many = [{"type": "map", "steps": [render("x")] * 50}] * 5
    assert "at most 200 steps" in editor.post("/api/workflows", {"key": "many", "steps": many}).json()["error"]


def test_a_step_without_an_id_goes_by_its_name_or_by_its_place(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow(
        {"name": "greet", **render("1")},
        {"name": "two words", **render("2")},
        {"name": "same", **render("3")},
        {"name": "same", **render("{{steps.greet.output}}{{steps.step_2.output}}{{steps.step_3.output}}")},
    )
    assert run(viewer, workflow).json()["output"] == "123"
    assert all("id" not in step for step in workflow["steps"])


# --- the schema -------------------------------------------------------------------------------------------------

DOCUMENT = schema.of_document(WorkflowImportSerializer())
CHECKER = jsonschema.Draft202012Validator(DOCUMENT)


def test_the_schema_is_served_and_has_every_type_of_step(viewer: APIClient) -> None:
    served = viewer.get("/api/workflows/schema").json()
    assert served == DOCUMENT
    jsonschema.Draft202012Validator.check_schema(served)
    names = [served["$defs"][one["$ref"].rpartition("/")[2]] for one in served["$defs"]["WorkflowStep"]["oneOf"]]
    assert [name["properties"]["type"]["enum"] for name in names] == [[name] for name in STEP_TYPES]


@pytest.mark.django_db
@pytest.mark.parametrize("step", [*world.STEPS, *world.ONE_OF_EACH], ids=lambda step: step["type"])
def test_the_schema_and_the_server_refuse_the_same_and_take_the_same(step: dict[str, Any]) -> None:
    def both(changed: dict[str, Any]) -> tuple[bool, bool]:
        document = {"key": "x", "steps": [changed]}
        try:
            definition.parse(document)
        except InvalidInputError:
            return CHECKER.is_valid(document), False
        return CHECKER.is_valid(document), True

    assert both(step) == (True, True)
    assert both({**step, "unknown": 1}) == (False, False)
    for name in step.keys() - {"type", "json", "default"}:
        assert both({**step, name: 5.5 if name not in {"timeout", "seconds"} else "5"}) == (False, False), name
    required = {field for field, made in STEP_TYPES[step["type"]].fields().fields.items() if made.required}
    for name in required:
        assert both({field: value for field, value in step.items() if field != name}) == (False, False), name


# --- whatever comes in ------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "steps.a.output", "steps.b.output", "input", "x", "item", "index", "inputs.x"])
TEXTS = st.one_of(
    st.lists(st.one_of(st.just("text "), NAMES.map(lambda name: f"{{{{{name}}}}}")), max_size=3).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
PATHS = st.one_of(
    NAMES,
    st.sampled_from(
        ["input[0]", "length(input)", "keys(@)", "input[*].a", "[input, x]", "to_number('NaN')", "a[", "`1`"]
    ),
    st.text(st.sampled_from("ab.[]*@'|&(){}:,?=! "), max_size=12),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abx"), inner, max_size=2)),
    max_leaves=6,
)
CONDITIONS = st.recursive(
    st.one_of(
        st.builds(
            lambda path, op, value: {"path": path, "op": op, "value": value},
            PATHS,
            st.sampled_from(["eq", "ne", "lt", "gte", "in", "contains", "starts_with"]),
            JSON,
        ),
        st.builds(lambda path: {"path": path, "op": "exists"}, PATHS),
        JSON,
    ),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=2)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=3,
)
IDS = st.sampled_from(["a", "b", "c", "end", "step_1", "map"])
COMMON = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "name": st.sampled_from(["a", "b", "two words", ""]),
        "input": PATHS,
        "when": CONDITIONS,
        "retry": st.fixed_dictionaries({"max": st.integers(0, 2), "backoff": st.just(0)}),
        "timeout": st.sampled_from([0.5, 5, -1, "1"]),
        "on_error": st.one_of(st.sampled_from(["fail", "continue", "x"]), st.builds(lambda to: {"goto": to}, IDS)),
    },
)


def step_of(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    own = st.fixed_dictionaries({"type": st.just(kind), **fields})
    return st.builds(lambda one, common: {**common, **one}, own, st.one_of(st.just({}), COMMON))


LEAVES = st.one_of(
    step_of("render", template=TEXTS),
    step_of("model", model=st.sampled_from(["m", "mock-fail", "mock-malformed"]), config=JSON),
    step_of("model", prompt=TEXTS),
    step_of("prompt", prompt_key=st.sampled_from(["greeting", "absent"])),
    step_of("agent", agent_key=st.sampled_from(["helper", "absent"]), variables=JSON),
    step_of(
        "transform", op=st.sampled_from(["upper", "json_parse", "json_format", "split", "join", "lines", "unique"])
    ),
    step_of("transform", op=st.just("truncate"), length=st.integers(0, 5)),
    step_of("extract", path=PATHS, default=JSON, required=st.booleans()),
    step_of("validate", schema=st.one_of(JSON, st.just({"type": "string"}))),
    step_of("condition", branches=st.lists(st.fixed_dictionaries({"when": CONDITIONS, "goto": IDS}), max_size=2)),
    step_of("http", url=st.sampled_from(["https://[::1]/", "https://nobody.invalid/{{a}}", "x"]), json=JSON),
    step_of("workflow", workflow_key=st.sampled_from(["pipeline", "fuzz", "absent"]), variables=JSON),
    step_of("wait", seconds=st.sampled_from([0, 0.01, 1e9, True])),
    st.builds(lambda kind, field, value: {"type": kind, field: value}, TEXTS, TEXTS, JSON),
)
STEPS = st.recursive(
    LEAVES,
    lambda inner: step_of("map", steps=st.lists(inner, max_size=3), concurrency=st.integers(0, 17)),
    max_leaves=4,
)
DEFINITIONS = st.fixed_dictionaries(
    {"steps": st.one_of(st.lists(STEPS, min_size=1, max_size=5), JSON)},
    optional={
        "inputs": st.one_of(st.just({"x": {"type": "array", "default": [1, "two"]}}), JSON),
        "outputs": st.dictionaries(IDS, st.one_of(TEXTS, st.builds(lambda path: {"path": path}, PATHS)), max_size=2),
    },
)


@pytest.fixture
def fuzzed(workspace: Workspace) -> Workspace:
    world.make_all()
    return workspace


@given(raw=DEFINITIONS, variables=st.dictionaries(st.sampled_from(["input", "x", "a"]), JSON, max_size=3))
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_definition_is_refused_with_the_place_named_or_runs_to_an_end(
    fuzzed: Workspace, raw: dict[str, Any], variables: dict[str, Any]
) -> None:
    """Never an error that nobody foresaw: each would be a 5xx without a meaning."""
    before = copy.deepcopy(raw)
    Workflow.objects.filter(key="fuzz").delete()
    workflow, refused = attempt(lambda: create_workflow(actor=SYSTEM, workspace=fuzzed, key="fuzz", **raw))
    if refused is not None:
        assert isinstance(refused, InvalidInputError)
        assert refused.fields
        assert set(refused.fields) <= {"steps", "inputs", "outputs"}
        assert refused.message.startswith(("steps", "inputs", "outputs"))
        assert raw == before
        return
    stored = Workflow.objects.get(pk=workflow.pk).definition
    assert definition.load(stored).as_json() == stored
    again = definition.parse(definition.shown(stored), secrets=definition.secrets_in(stored))
    assert again.as_json() == stored
    answer, failed = attempt(lambda: execution.run(actor=SYSTEM, workflow=workflow, variables=variables))
    assert failed is None or failed.status in {400, 502, 504}
    event("failed" if failed else "ran to its end")
    json.dumps(failed.extra if failed else answer, allow_nan=False, default=str).encode()


def attempt(work: Callable[[], Any]) -> tuple[Any, DomainError | None]:
    """What it makes, or what it is refused with. Anything else is raised on."""
    try:
        return work(), None
    except DomainError as error:
        return None, error
