"""What is refused when it is saved; and that whatever is not refused runs to an end."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.core.errors import DomainError, InvalidInputError
from governance.tenancy.models import Workspace
from tests.conftest import FUZZING
from tests.contract import world
from tests.workflows.conftest import MakeWorkflow
from tests.workflows.test_workflows import render, run
from workflows.definition import parsing, schema
from workflows.models import Workflow
from workflows.runs import execution
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
    steps: list[dict[str, Any]] = [render("x")]
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
            parsing.parse(document)
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

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abx"), inner, max_size=2)),
    max_leaves=6,
)
OPS = ["upper", "trim", "json_parse", "json_format", "join", "lines", "unique", "length"]


def templates(names: list[str]) -> st.SearchStrategy[str]:
    pieces = st.one_of(st.just("text "), st.sampled_from(names).map(lambda name: f"{{{{{name}}}}}"))
    return st.lists(pieces, max_size=3).map("".join)


def paths(names: list[str]) -> st.SearchStrategy[str]:
    wrapped = [
        "{}",
        "{}[0]",
        "length({})",
        "[{}, x]",
        "{}[*].a",
        "to_string({})",
        "to_number('NaN')",
        "keys(@)",
        "`[1, 2]`",
    ]
    return st.builds(lambda wrap, name: wrap.format(name), st.sampled_from(wrapped), st.sampled_from(names))


def conditions(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    def compared(path: str, op: str, value: Any) -> dict[str, Any]:
        return {"path": path, "op": op, "value": value}

    leaves = st.one_of(
        st.builds(
            compared, paths(names), st.sampled_from(["eq", "ne", "lt", "gte", "in", "contains", "starts_with"]), JSON
        ),
        st.builds(lambda path, op: {"path": path, "op": op}, paths(names), st.sampled_from(["exists", "empty"])),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=2)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=3,
    )


def own_fields(names: list[str], later: list[str], nesting: int) -> st.SearchStrategy[dict[str, Any]]:
    """A step of some type, with all that it needs."""

    def of(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
        own = {
            name: field if isinstance(field, st.SearchStrategy) else st.just(field) for name, field in fields.items()
        }
        return st.fixed_dictionaries({"type": st.just(kind), **own})

    text, path = templates(names), paths(names)
    branch = st.fixed_dictionaries({"when": conditions(names), "goto": st.sampled_from(later)})
    values = st.dictionaries(st.sampled_from("abx"), st.one_of(text, JSON), max_size=2)
    kinds = [
        of("render", template=text),
        of("model", model=st.sampled_from(["m", "mock-fail", "mock-malformed"])),
        of("model", prompt=text),
        of("prompt", prompt_key=st.sampled_from(["greeting", "absent"])),
        of("agent", agent_key=st.sampled_from(["helper", "absent"]), variables=values),
        of("transform", op=st.sampled_from(OPS)),
        of("transform", op="truncate", length=st.integers(1, 5)),
        of("transform", op="split", separator="e"),
        of("extract", path=path, default=JSON),
        of("extract", path=path, required=True),
        of("validate", schema=st.sampled_from([{}, {"type": "string"}, {"type": ["array", "object"], "maxItems": 2}])),
        of("condition", branches=st.lists(branch, max_size=2), otherwise=st.sampled_from(later)),
        of("http", url="https://nobody.invalid/{{a}}", json=values),
        of("workflow", workflow_key=st.sampled_from(["pipeline", "absent"]), variables=values),
        of("approval", message=text),
        of("wait", seconds=st.sampled_from([0, 0.01, 100])),
    ]
    if nesting < 2:
        kinds.append(
            of("map", steps=lists_of_steps([*names, "item", "index"], nesting + 1), concurrency=st.integers(1, 4))
        )
    return st.one_of(kinds)


@st.composite
def lists_of_steps(draw: st.DrawFn, names: list[str], nesting: int = 0) -> list[dict[str, Any]]:
    """Steps that refer to those before them, and go on at those after them."""
    count = draw(st.integers(1, 4 - nesting))
    ids = [f"s{nesting}{place}" for place in range(count)]
    steps = []
    for place, own in enumerate(ids):
        seen = [*names, *(f"steps.{before}.output" for before in ids[:place])]
        later = [*ids[place + 1 :], "end"]
        common = {
            "when": conditions(seen),
            "input": paths(seen),
            "retry": st.just({"max": 1, "backoff": 0}),
            "timeout": st.sampled_from([1, 5]),
            "on_error": st.one_of(st.just("continue"), st.sampled_from(later).map(lambda target: {"goto": target})),
        }
        step = draw(own_fields(seen, later, nesting))
        chosen = draw(st.sets(st.sampled_from(sorted(common)), max_size=2))
        steps.append({"id": own, **{name: draw(common[name]) for name in sorted(chosen)}, **step})
    return steps


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A definition that should work; one in three with something in it that should not be there."""
    steps: Any = draw(lists_of_steps(["input", "x", "inputs.x", "a"]))
    raw: dict[str, Any] = {
        "inputs": {"x": {"default": [1, "two"]}},
        "steps": steps,
        "outputs": {"last": {"path": draw(paths([f"steps.{steps[-1]['id']}.output", "input"]))}, "text": "<{{input}}>"},
    }
    if draw(st.integers(0, 2)) == 0:
        where: Any = raw
        while True:
            place = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if not isinstance(where[place], dict | list) or not where[place] or draw(st.booleans()):
                where[place] = draw(JSON)
                break
            where = where[place]
    return raw


@pytest.fixture
def fuzzed(workspace: Workspace) -> Workspace:
    world.make_all()
    return workspace


@given(raw=definitions(), variables=st.dictionaries(st.sampled_from(["input", "x", "a"]), JSON, max_size=3))
@settings(
    max_examples=1000 if FUZZING else 100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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
    assert parsing.load(stored).as_json() == stored
    again = parsing.parse(parsing.shown(stored), secrets=parsing.secrets_in(stored))
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


DOCS = Path(__file__).resolve().parents[3] / "docs" / "workflows.md"


def test_the_example_of_the_documentation_can_be_imported_and_run(editor: APIClient) -> None:
    example = DOCS.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    made = editor.generic("POST", "/api/workflows/import", example, "text/yaml")
    assert made.status_code == 201, made.json()
    body = run(editor, made.json()["data"], variables={"ticket": "It is broken"}).json()
    assert body["outputs"] == {"kind": None, "text": "We are looking at: It is broken"}
    assert all(f"| `{name}` |" in DOCS.read_text(encoding="utf-8") for name in STEP_TYPES)


@pytest.mark.django_db
def test_variables_of_any_script_and_with_hyphens_can_be_declared_and_are_seen_by_every_field(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    names = {"user-name": "a", "имя": "b", "質問": {"c.d": "e", "f": "g"}}
    flow = make_workflow(
        {"id": "all", "type": "render", "template": "{{user-name}} {{ имя }} {{inputs.имя}} {{質問.f}} {{質問.c.d}}"},
        {"type": "workflow", "workflow_key": "below", "variables": {"to": "{{質問}}", "a.b": "{{ user-name }}"}},
        {"type": "extract", "path": '[input, inputs."user-name", "имя", "質問".f, steps.all.output]'},
        inputs={name: {"required": True} for name in names},
        outputs={"text": "{{質問.f}} {{user-name}}", "single": "{{имя}}"},
    )
    make_workflow({"type": "render", "template": "{{to.f}} {{a.b}}"}, key="below")
    answer = viewer.post(f"/api/workflows/{flow['id']}/run", {"variables": names})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["output"] == ["g a", "a", "b", "g", "a b b g {{質問.c.d}}"]
    assert answer.json()["outputs"] == {"text": "g a", "single": "b"}
    lacking = viewer.post(f"/api/workflows/{flow['id']}/run", {"variables": {"user-name": "a"}})
    assert (lacking.status_code, "имя" in lacking.json()["error"]) == (400, True)


@pytest.mark.parametrize("name", ["a b", "a.b", "", "x" * 129, "steps", "{x}", "a/b"])
@pytest.mark.django_db
def test_what_can_be_no_variable_is_no_input(editor: APIClient, name: str) -> None:
    refused = editor.post("/api/workflows", {"key": "x", "inputs": {name: {}}, "steps": []})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["inputs"])
    if name != "steps":
        assert not CHECKER.is_valid({"key": "x", "inputs": {name: {}}})
