"""What the search finds: a text in a prompt's key, name, content or tags, whatever way the database looks for it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.actors import SYSTEM
from governance.models import Environment
from prompts import searching, services
from prompts.models import Prompt, PromptText

#: Of few letters, so that what is looked for is there now and then, and of all that a query language takes for its own.
texts = st.text(alphabet="abAßéÉ客户%_\\\"'*^:-+() \n", max_size=8)


@pytest.fixture
def prod(environment: Callable[[str], Environment]) -> Environment:
    return environment("prod")


def found(text: str, **options: Any) -> set[str]:
    return set(searching.narrowed(Prompt.objects.all(), text, **options).values_list("key", flat=True))


@pytest.mark.parametrize("few", [0, 2000], ids=["more than a few", "a few"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(texts, min_size=1, max_size=4), wanted=texts.filter(bool))
def test_found_is_what_holds_the_text_and_nothing_else(
    prod: Environment, monkeypatch: pytest.MonkeyPatch, few: int, contents: list[str], wanted: str
) -> None:
    monkeypatch.setattr(searching, "FEW", few)
    Prompt.objects.all().delete()
    for number, content in enumerate(contents):
        services.create_prompt(actor=SYSTEM, environment=prod, key=f"p{number}", content=content)
    holding = {f"p{n}" for n, text in enumerate(contents) if wanted.casefold() in f"p{n}\n\n{text}".casefold()}
    assert found(wanted) == holding


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
    plan = PromptText.objects.filter(searching._by_trigrams("needle", tags=True)).explain()
    assert "VIRTUAL TABLE INDEX" in plan
    assert "SCAN prompts_prompttext\n" not in f"{plan}\n"


@pytest.mark.django_db(transaction=True)
def test_prompts_from_before_there_was_a_search_index_are_found_after_the_upgrade(prod: Environment) -> None:
    services.create_prompt(actor=SYSTEM, environment=prod, key="old", content="ÄRGER", tags=["Früh"])
    MigrationExecutor(connection).migrate([("prompts", "0003_state_of_a_prompt")])
    assert "prompts_prompttext" not in connection.introspection.table_names()
    MigrationExecutor(connection).migrate([("prompts", "0004_found_by_text")])
    assert (found("ärger"), found("früh", tags=True)) == ({"old"}, {"old"})
