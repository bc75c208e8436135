"""A document is the same text wherever it is made: with the write, and read again from the database."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.changes.models import Change
from governance.tenancy.models import Environment
from prompts import documents, services
from prompts.models import Prompt

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            1e22,
            -1e22,
            4.192461272448615e16,
            1e16,
            1e15,
            1.0,
            -0.0,
            0.0,
            5e-324,
            1e-7,
            1.7976931348623157e308,
            2**63,
            2**53 + 1,
        ]
    )
)
CONFIGS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
ODD = {
    "z": 1e22,
    "y": 4.192461272448615e16,
    "a": {"é": -0.0, "B": 1.0, "漢": [1e-7, {"y": None, "x": True}], "": "😀\u2028"},
    "aa": 1,
    "b": 0.1,
}


def written(environment: Environment) -> Change:
    return Change.objects.get(environment=environment, revision=Environment.objects.get(pk=environment.pk).revision)


def read_again(prompt: Prompt) -> dict[str, Any]:
    document = documents.served(Prompt.objects.select_related(*documents.SERVED_WITH).get(pk=prompt.pk))
    assert document is not None
    return document


@given(config=CONFIGS, content=TEXT)
@example(config=ODD, content="😀")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_document_of_a_change_is_to_the_byte_what_is_read_from_the_database_after_it(
    environment: Callable[[str], Environment], config: dict[str, Any], content: str
) -> None:
    """By the services: what other doors than the API let in (the admin, scripts) holds the law too."""
    prod = environment("prod")
    Prompt.objects.filter(environment=prod).delete()
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="odd", content=content, config=config)
    for write in (
        lambda: None,
        lambda: services.publish(actor=SYSTEM, prompt=prompt),
        lambda: services.update_prompt(actor=SYSTEM, prompt=prompt, config={**config, "more": 1e300}),
        lambda: services.publish(actor=SYSTEM, prompt=prompt),
        lambda: services.rollback(actor=SYSTEM, prompt=prompt, version="v1"),
    ):
        write()
        change = written(prod)
        text = documents.encode(read_again(prompt))
        assert (change.document, change.etag) == (text, documents.etag_of(text))
    assert Prompt.objects.get(pk=prompt.pk).status == "published"


@pytest.mark.parametrize(
    "config", [ODD, {"n": 12345678901234567890123}, {"deep": [[[{"a": [{}]}]]]}], ids=["odd", "long", "deep"]
)
def test_over_the_api_the_fetch_the_list_and_the_change_carry_the_same_bytes(
    editor: APIClient, environment: Callable[[str], Environment], config: dict[str, Any]
) -> None:
    body = json.dumps({"key": "odd", "env": "prod", "content": "é", "config": config})
    made = editor.post("/api/prompts", body, content_type="application/json")
    assert made.status_code == 201, made.json()
    for publish in (False, True):
        if publish:
            editor.post("/api/prompts/publish", {"id": made.json()["data"]["id"]})
        change = written(environment("prod"))
        fetched = editor.get("/api/sdk/prompts/odd")
        assert (fetched.content.decode(), fetched.headers["ETag"]) == (change.document, change.etag)
        assert editor.get("/api/sdk/prompts").content.decode().startswith(f'{{"data":[{change.document}],')
        assert fetched.json()["config"] == config


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"b": 1, "a": 2, "B": 3, "aa": 4}, '{"B":3,"a":2,"aa":4,"b":1}'),
        ({"n": 1e22}, '{"n":10000000000000000000000}'),
        ({"n": 4.192461272448615e16}, '{"n":41924612724486150}'),
        ({"n": -0.0}, '{"n":0.0}'),
        ({"n": 1.0}, '{"n":1.0}'),
        ({"n": 1e-7}, '{"n":1e-07}'),
        ({"n": [True, None, "é😀"]}, '{"n":[true,null,"é😀"]}'),
        ({"漢": 1, "é": 2, "😀": 3}, '{"é":2,"漢":1,"😀":3}'),
    ],
)
def test_a_config_is_served_in_one_canonical_text_on_every_database(
    environment: Callable[[str], Environment], config: dict[str, Any], text: str
) -> None:
    prompt = services.create_prompt(actor=SYSTEM, environment=environment("prod"), key="odd", config=config)
    assert documents.encode(read_again(prompt)).endswith(f'"config":{text}}}')
