"""Rollouts (contract, section 4): made, moved and ended over the API, and what applications are served meanwhile."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.changes.models import Change
from prompts.models import PromptVersion, Rollout
from prompts.rollouts import pick

MakePrompt = Callable[..., dict[str, Any]]
UNITS = [f"user-{number}" for number in range(60)]


@pytest.fixture
def prompt(editor: APIClient, make_prompt: MakePrompt) -> dict[str, Any]:
    """A prompt with the versions v1 ("one"), v2 ("two") and v3 ("three"), the last of them live."""
    made = make_prompt(content="one", publish=True)
    for text in ("two", "three"):
        editor.patch(f"/api/prompts/{made['id']}", {"content": text})
        publish(editor, made)
    return made


@pytest.fixture
def rollout(editor: APIClient, prompt: dict[str, Any]) -> Callable[..., Any]:
    """Write the prompt's rollout, and return the answer."""
    return lambda **values: editor.put(f"/api/prompts/{prompt['id']}/rollout", values)


@pytest.fixture
def half(rollout: Callable[..., Any]) -> dict[str, Any]:
    """A rollout of v2 to half of the units, v1 to the others."""
    answer = rollout(variant_a="v2", variant_b="v1", weight_a=50)
    assert answer.status_code == 200, answer.json()
    data: dict[str, Any] = answer.json()["data"]
    return data


def publish(client: APIClient, prompt: dict[str, Any], **body: Any) -> None:
    assert client.post("/api/prompts/publish", {"id": prompt["id"], **body}).status_code == 200


def served(client: APIClient, unit: str | None = None) -> tuple[str | None, str]:
    """The variant and the content that a fetch is answered."""
    document = client.get("/api/sdk/prompts/greeting", {"unit": unit} if unit else {}).json()
    return document.get("variant"), document["content"]


def in_a(client: APIClient) -> set[str]:
    return {unit for unit in UNITS if served(client, unit)[0] == "A"}


def test_a_prompt_without_a_rollout_has_null_for_one(viewer: APIClient, prompt: dict[str, Any]) -> None:
    answer = viewer.get(f"/api/prompts/{prompt['id']}/rollout")
    assert (answer.status_code, answer.json()) == (200, {"data": None})


def test_a_new_rollout_is_enabled_has_a_seed_and_is_what_is_read_from_then_on(
    viewer: APIClient, prompt: dict[str, Any], half: dict[str, Any]
) -> None:
    assert viewer.get(f"/api/prompts/{prompt['id']}/rollout").json() == {"data": half}
    assert len(half.pop("seed")) >= 16
    assert {name: half.pop(name) for name in ("id", "created_at", "updated_at")}.keys()
    assert half == {
        "key": "greeting",
        "env": "prod",
        "enabled": True,
        "variant_a": "v2",
        "variant_b": "v1",
        "weight_a": 50,
    }


@pytest.mark.parametrize("weight", [0, 0.001, 12.5, 33.333, 99.999, 100])
def test_a_weight_is_a_percentage_with_up_to_three_decimals(rollout: Callable[..., Any], weight: float) -> None:
    answer = rollout(variant_a="v2", variant_b="v1", weight_a=weight)
    assert (answer.status_code, answer.json()["data"]["weight_a"]) == (200, weight)


@pytest.mark.parametrize("weight", [-0.001, 100.001, 33.3333, 1e9, True, "50", None, [50]])
def test_any_other_weight_is_refused_and_named(rollout: Callable[..., Any], weight: Any) -> None:
    answer = rollout(variant_a="v2", variant_b="v1", weight_a=weight)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["weight_a"])


@pytest.mark.parametrize("name", ["variant_a", "variant_b"])
@pytest.mark.parametrize("label", ["v9", "V1", "draft-label", "of-another", "", 1, None])
def test_a_variant_that_is_no_published_version_of_this_prompt_is_refused_and_named(
    editor: APIClient,
    make_prompt: MakePrompt,
    prompt: dict[str, Any],
    rollout: Callable[..., Any],
    name: str,
    label: Any,
) -> None:
    publish(editor, make_prompt("another"), version="of-another")
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "a draft", "version": "draft-label"})
    values = {"variant_a": "v2", "variant_b": "v1", "weight_a": 50, name: label}
    created = rollout(**values)
    assert (created.status_code, list(created.json()["fields"])) == (400, [name])
    assert Rollout.objects.count() == 0
    rollout(variant_a="v2", variant_b="v1", weight_a=50)
    edited = rollout(**{name: label})
    assert (edited.status_code, list(edited.json()["fields"])) == (400, [name])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, ["variant_a", "variant_b", "weight_a"]),
        ({"variant_a": "v2", "weight_a": 50}, ["variant_b"]),
        ({"variant_a": "v2", "variant_b": "v1"}, ["weight_a"]),
        ({"variant_a": "v2", "variant_b": "v2", "weight_a": 50}, ["variant_b"]),
        ({"variant_a": "v2", "variant_b": "v1", "weight_a": 50, "enabled": "yes"}, ["enabled"]),
        ({"variant_a": "v2", "variant_b": "v1", "weight_a": 50, "weigth_b": 50}, ["weigth_b"]),
    ],
)
def test_what_a_new_rollout_lacks_or_cannot_have_is_named(
    rollout: Callable[..., Any], values: dict[str, Any], named: list[str]
) -> None:
    answer = rollout(**values)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, named)
    assert Rollout.objects.count() == 0


@pytest.mark.parametrize("weight", [50, 20.5])
def test_each_unit_is_served_the_variant_that_the_pure_pick_gives_it(
    editor: APIClient, half: dict[str, Any], rollout: Callable[..., Any], weight: float
) -> None:
    rollout(weight_a=weight)
    for unit in ["ünïcode 漢", "a:b", *UNITS]:
        variant = pick(seed=half["seed"], weight_a=weight, unit=unit)
        assert served(editor, unit) == (variant, "two" if variant == "A" else "one")


def test_without_a_unit_each_fetch_draws(editor: APIClient, half: dict[str, Any]) -> None:
    assert {served(editor) for _ in range(40)} == {("A", "two"), ("B", "one")}


def test_raising_the_weight_adds_units_to_a_and_takes_none_away(
    editor: APIClient, half: dict[str, Any], rollout: Callable[..., Any]
) -> None:
    assert half["weight_a"] == 50
    groups = []
    for weight in (0, 10, 35, 35.5, 80, 100):
        rollout(weight_a=weight)
        groups.append(in_a(editor))
    assert all(before <= after for before, after in pairwise(groups))
    assert (groups[0], groups[-1]) == (set(), set(UNITS))
    assert len({len(group) for group in groups}) >= 4


def test_the_seed_survives_every_edit_and_is_another_after_a_delete(
    editor: APIClient, prompt: dict[str, Any], half: dict[str, Any], rollout: Callable[..., Any]
) -> None:
    for edit in (
        {"weight_a": 10},
        {"enabled": False},
        {"enabled": True},
        {"variant_a": "v3"},
        {"variant_a": "v1", "variant_b": "v2", "weight_a": 50.0, "enabled": True},
    ):
        assert rollout(**edit).json()["data"]["seed"] == half["seed"]
    path = f"/api/prompts/{prompt['id']}/rollout"
    assert editor.delete(path).json() == {"ok": True}
    assert editor.delete(path).status_code == 404
    assert editor.get(path).json() == {"data": None}
    assert rollout(variant_a="v2", variant_b="v1", weight_a=50).json()["data"]["seed"] != half["seed"]


def test_a_disabled_rollout_picks_nobody_and_enabled_again_it_picks_as_before(
    editor: APIClient, half: dict[str, Any], rollout: Callable[..., Any]
) -> None:
    before = {unit: served(editor, unit) for unit in UNITS}
    off = rollout(enabled=False).json()["data"]
    assert off == {**half, "enabled": False, "updated_at": off["updated_at"]}
    assert {served(editor, unit) for unit in [None, *UNITS]} == {(None, "three")}
    rollout(enabled=True)
    assert {unit: served(editor, unit) for unit in UNITS} == before


def test_a_rollout_that_starts_disabled_changes_nothing_that_is_served(
    editor: APIClient, rollout: Callable[..., Any]
) -> None:
    etag = editor.get("/api/sdk/prompts/greeting").headers["ETag"]
    assert rollout(enabled=False, variant_a="v2", variant_b="v1", weight_a=50).json()["data"]["enabled"] is False
    assert editor.get("/api/sdk/prompts/greeting").headers["ETag"] == etag


def test_publishing_and_rolling_back_during_a_rollout_keep_serving_its_variants_and_move_what_comes_after(
    editor: APIClient, prompt: dict[str, Any], half: dict[str, Any], rollout: Callable[..., Any]
) -> None:
    before = {unit: served(editor, unit) for unit in UNITS}
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "four"})
    publish(editor, prompt)
    assert {unit: served(editor, unit) for unit in UNITS} == before
    rollout(enabled=False)
    assert served(editor) == (None, "four")
    rollout(enabled=True)
    back = editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v1"})
    assert back.json()["data"]["live_version"] == "v1"
    assert {unit: served(editor, unit) for unit in UNITS} == before
    editor.delete(f"/api/prompts/{prompt['id']}/rollout")
    assert {served(editor, unit) for unit in UNITS} == {(None, "one")}
    assert half["enabled"] is True


def test_each_write_of_a_rollout_is_one_event_with_the_document_and_one_audit_entry_with_old_and_new(
    editor: APIClient, prompt: dict[str, Any], half: dict[str, Any], rollout: Callable[..., Any], environment: Any
) -> None:
    rollout(weight_a=75)
    rollout(variant_b="v3", enabled=False)
    editor.delete(f"/api/prompts/{prompt['id']}/rollout")
    changes = Change.objects.filter(environment=environment("prod"), type__startswith="rollout").order_by("revision")
    assert [(change.type, change.key, change.served) for change in changes] == [
        ("rollout.updated", "greeting", True),
        ("rollout.updated", "greeting", True),
        ("rollout.updated", "greeting", True),
        ("rollout.deleted", "greeting", True),
    ]
    assert [f'"seed":"{half["seed"]}"' in (change.document or "") for change in changes] == [True, True, False, False]
    entries = AuditEntry.objects.filter(resource="rollout").order_by("created_at")
    assert [(entry.action, entry.changes) for entry in entries] == [
        (
            "update",
            {
                "variant_a": {"old": None, "new": "v2"},
                "variant_b": {"old": None, "new": "v1"},
                "weight_a": {"old": None, "new": 50.0},
            },
        ),
        ("update", {"weight_a": {"old": 50.0, "new": 75.0}}),
        ("update", {"variant_b": {"old": "v1", "new": "v3"}, "enabled": {"old": True, "new": False}}),
        (
            "delete",
            {
                "variant_a": {"old": "v2", "new": None},
                "variant_b": {"old": "v3", "new": None},
                "weight_a": {"old": 75.0, "new": None},
            },
        ),
    ]


def test_a_prompt_with_versions_and_a_rollout_can_be_deleted_and_nothing_of_it_stays(
    editor: APIClient, prompt: dict[str, Any], half: dict[str, Any]
) -> None:
    assert editor.delete(f"/api/prompts/{prompt['id']}").json() == {"ok": True}
    assert (Rollout.objects.count(), PromptVersion.objects.count()) == (0, 0)
    assert editor.get("/api/sdk/prompts/greeting").status_code == 404
    assert editor.get("/api/sdk/prompts").json()["data"] == []
    assert half["enabled"]


def test_a_viewer_reads_a_rollout_and_may_not_write_one(viewer: APIClient, prompt: dict[str, Any]) -> None:
    path = f"/api/prompts/{prompt['id']}/rollout"
    assert viewer.get(path).status_code == 200
    for refused in (viewer.put(path, {"weight_a": 1}), viewer.delete(path)):
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden: requires editor role")
