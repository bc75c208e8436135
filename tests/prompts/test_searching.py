"""What the search finds: a text in a prompt's key, name, content or tags, whatever way the database looks for it."""

import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.tenancy.models import Environment
from prompts import searching, services
from prompts.models import Prompt, PromptText

#: Of few letters, so that what is looked for is there now and then, and of all that a query language takes for its own.
#: Long ones are looked for by parts.
texts = st.text(alphabet="abAßéÉ客户%_\\\"'*^:-+(){} \n", max_size=8)
long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 3, 7, 20]))


@pytest.fixture
def prod(environment: Callable[[str], Environment]) -> Environment:
    return environment("prod")


def written(text: str, form: str) -> str:
    return unicodedata.normalize(form, text)  # type: ignore[arg-type]  # one of Unicode's forms


def found(text: str, **options: Any) -> set[str]:
    return set(searching.narrowed(Prompt.objects.all(), text, **options).values_list("key", flat=True))


@pytest.mark.parametrize("few", [0, 2000], ids=["more than a few", "a few"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(long_texts, min_size=1, max_size=4), wanted=long_texts.filter(bool))
def test_found_is_what_holds_the_text_and_nothing_else(
    prod: Environment, monkeypatch: pytest.MonkeyPatch, few: int, contents: list[str], wanted: str
) -> None:
    monkeypatch.setattr(searching, "FEW", few)
    Prompt.objects.all().delete()
    for number, content in enumerate(contents):
        services.create_prompt(actor=SYSTEM, environment=prod, key=f"p{number}", content=content)
    holding = {f"p{n}" for n, text in enumerate(contents) if wanted.casefold() in f"p{n}\n\n{text}".casefold()}
    assert found(wanted) == holding


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("eaoé\u0301\u0308É客", min_size=1, max_size=30), min_size=1, max_size=3),
    forms=st.tuples(*[st.sampled_from(["NFC", "NFD"])] * 2),
    which=st.integers(0, 2),
)
def test_a_text_is_found_whatever_form_it_is_stored_and_looked_for_in_and_is_kept_as_it_came(
    prod: Environment, texts: list[str], forms: tuple[str, str], which: int
) -> None:
    Prompt.objects.all().delete()
    stored = [written(text, forms[0]) for text in texts]
    for number, text in enumerate(stored):
        services.create_prompt(
            actor=SYSTEM, environment=prod, key=f"p{number}", content=f"- {text} -", category=text, tags=[text]
        )
    wanted = written(texts[which % len(texts)], forms[1])
    asked = f"p{which % len(texts)}"
    assert asked in found(f"- {wanted} -")
    assert asked in found(wanted.upper(), tags=True) or wanted.upper().casefold() != wanted.casefold()
    for rows in (searching.of_category(Prompt.objects.all(), wanted), searching.tagged(Prompt.objects.all(), wanted)):
        equal = {f"p{n}" for n, text in enumerate(texts) if written(text, "NFD") == written(wanted, "NFD")}
        assert set(rows.values_list("key", flat=True)) == equal
    assert {prompt.category for prompt in Prompt.objects.all()} == set(stored)


#: A search that is followed anew at each place of a text takes minutes with these; each is as long as a request may be.
CONTENT = 200_000
BAD = {
    "one character": ("a" * CONTENT, "a" * 200),
    "one character, then another": ("a" * CONTENT, "a" * 199 + "b"),
    "another, then one character": ("a" * CONTENT, "b" + "a" * 199),
    "two in turns": ("ab" * (CONTENT // 2), "ab" * 99 + "aa"),
    "a period that no part has": ("abcdefghijklm" * (CONTENT // 13), ("abcdefghijklm" * 16)[:199] + "z"),
    "wide characters": ("客" * (CONTENT // 3), "客" * 199 + "户"),
    "wildcards": ("%_" * (CONTENT // 2), "%_" * 99 + "%x"),
    "quotes": ('"' * CONTENT, '"' * 199 + "'"),
    "spaces and words": (("a " * CONTENT)[:CONTENT], "a " * 99 + "b"),
}


@pytest.mark.parametrize(("content", "wanted"), BAD.values(), ids=BAD.keys())
def test_a_search_takes_less_than_half_a_second_whatever_the_texts_are(
    prod: Environment, content: str, wanted: str
) -> None:
    for number in range(5):
        services.create_prompt(actor=SYSTEM, environment=prod, key=f"k{number}", content=content)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        assert found(wanted) == ({f"k{n}" for n in range(5)} if wanted in content else set())
        took.append(time.perf_counter() - started)
    assert min(took) < 0.5


def test_a_search_that_is_too_long_is_refused_by_every_list_with_what_is_allowed(viewer: APIClient) -> None:
    for path in ("prompts", "agents", "workflows"):
        assert viewer.get(f"/api/{path}", {"q": "a" * 200}).status_code == 200
        refused = viewer.get(f"/api/{path}", {"q": "a" * 201})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["q"])
        assert "200 characters" in refused.json()["error"]


@pytest.mark.parametrize(("form", "asked"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_lists_compare_names_tags_and_categories_in_one_form_and_answer_them_as_they_came(
    editor: APIClient, form: str, asked: str
) -> None:
    fields = {
        "name": written("Grüße", form),
        "category": written("Café", form),
        "tags": [written("é", form), written("é", asked), "e"],
    }
    made = editor.post("/api/prompts", {"key": "p", **fields}).json()["data"]
    assert (made["name"], made["category"]) == (fields["name"], fields["category"])
    assert made["tags"] == [written("é", form), "e"]  # each once
    for query in ({"q": written("GRÜSSE", asked)}, {"category": written("Café", asked)}, {"tag": written("é", asked)}):
        assert editor.get("/api/prompts", query).json()["total"] == 1, query
    for query in ({"category": "Cafe"}, {"category": written("café", asked)}, {"tag": written("É", asked)}):
        assert editor.get("/api/prompts", query).json()["total"] == 0, query
    steps = [{"name": "a", "type": "render", "template": "x"}]
    editor.post("/api/agents", {"key": "a", "name": written("Élan", form), "prompt": "x"})
    editor.post("/api/workflows", {"key": "w", "name": written("Élan", form), "steps": steps})
    for path in ("agents", "workflows"):
        assert editor.get(f"/api/{path}", {"q": written("éLA", asked)}).json()["total"] == 1
        assert editor.get(f"/api/{path}", {"q": "LAN"}).json()["total"] == 1
        assert editor.get(f"/api/{path}", {"q": "%"}).json()["total"] == 0


def test_a_prompt_is_found_by_what_it_is_now_whichever_operation_made_it_so(prod: Environment) -> None:
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="first-key", content="alpha", tags=["one-tag"])
    services.publish(actor=SYSTEM, prompt=prompt)
    services.update_prompt(actor=SYSTEM, prompt=prompt, key="second-key", name="a name", content="beta")
    assert [found(text) for text in ("first-key", "alpha")] == [set(), set()]
    assert [found(text) for text in ("second-key", "a name", "beta")] == [{"second-key"}] * 3
    services.publish(actor=SYSTEM, prompt=prompt, version="v2")
    services.rollback(actor=SYSTEM, prompt=prompt, version="v1")
    assert (found("alpha"), found("beta")) == ({"second-key"}, set())
    halves = {"enabled": True, "variant_a": "v1", "variant_b": "v2", "weight_a": 50}
    services.set_rollout(actor=SYSTEM, prompt=prompt, values=halves)
    services.finish_rollout(actor=SYSTEM, prompt=prompt, winner="B")
    assert (found("alpha"), found("beta")) == (set(), {"second-key"})
    services.delete_prompt(actor=SYSTEM, prompt=prompt)
    assert found("second-key") == set()


@pytest.mark.parametrize("few", [0, 2000], ids=["more than a few", "a few"])
def test_tags_count_only_where_they_are_asked_for(prod: Environment, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(searching, "FEW", few)
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="tagged", tags=["Billing", "vip"])
    assert (found("billing"), found("billing", tags=True), found("ip", tags=True)) == (set(), {"tagged"}, {"tagged"})
    services.update_prompt(actor=SYSTEM, prompt=prompt, tags=["vip"])
    assert found("billing", tags=True) == set()


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="whether PostgreSQL has pg_trgm is its administrator's to say"
)
def test_a_rare_text_is_looked_up_in_the_index_and_no_table_is_read(prod: Environment) -> None:
    for needle in ("needle", "a needle that is longer than one piece"):
        index = searching._by_index(searching._parts(needle), ("text", "tags"), limit=-1)
        assert index is not None
        plan = PromptText.objects.filter(index).explain()
        assert "VIRTUAL TABLE INDEX" in plan
        assert "SCAN prompts_prompttext\n" not in f"{plan}\n"


@pytest.mark.django_db(transaction=True)
def test_prompts_from_before_there_was_a_search_index_are_found_after_the_upgrade(prod: Environment) -> None:
    services.create_prompt(actor=SYSTEM, environment=prod, key="old", content="ÄRGER", tags=["Früh"])
    MigrationExecutor(connection).migrate([("prompts", "0003_state_of_a_prompt")])
    assert "prompts_prompttext" not in connection.introspection.table_names()
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert (found("ärger"), found("früh", tags=True)) == ({"old"}, {"old"})


@pytest.mark.django_db(transaction=True)
def test_what_came_in_another_unicode_form_before_there_was_one_is_found_after_the_upgrade(prod: Environment) -> None:
    text = written("Früh", "NFD")
    for key, value in (("old", text), ("plain", "plain"), ("none", "")):
        services.create_prompt(
            actor=SYSTEM, environment=prod, key=key, content=f"{value}er", category=value, tags=[value] if value else []
        )
    services.publish(actor=SYSTEM, prompt=Prompt.objects.get(key="old"))
    MigrationExecutor(connection).migrate([("prompts", "0004_found_by_text")])
    with connection.cursor() as cursor:  # as it was kept then
        cursor.execute(
            "UPDATE prompts_prompttext SET text = %s WHERE text LIKE 'old%%'", [f"old\n\n{text}er".casefold()]
        )
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    for form in ("NFC", "NFD"):
        wanted = written("Früh", form)
        assert found(wanted + "er") == {"old"}
        for rows in (searching.of_category(Prompt.objects, wanted), searching.tagged(Prompt.objects, wanted)):  # type: ignore[arg-type]
            assert [prompt.category for prompt in rows] == [text]
    assert searching.of_category(Prompt.objects.all(), "plain").count() == 1
    services.update_prompt(actor=SYSTEM, prompt=Prompt.objects.get(key="old"), content="now another")
    assert (found("another"), found("früher")) == ({"old"}, set())
