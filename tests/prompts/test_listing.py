"""Listing and searching prompts (contract, section 2)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from governance.tenancy.models import Workspace

MakePrompt = Callable[..., dict[str, Any]]


def keys(client: APIClient, **query: str | int) -> list[str]:
    answer = client.get("/api/prompts", query)
    assert answer.status_code == 200, answer.json()
    return [prompt["key"] for prompt in answer.json()["data"]]


@pytest.fixture
def prompts(make_prompt: MakePrompt) -> None:
    make_prompt("greeting", name="Hello", content="Guten Tag", category="mail", tags=["short", "de"])
    make_prompt("Farewell", name="Goodbye", content="100% sure_thing", category="chat", tags=["short", "en"], env="dev")
    make_prompt("summary", name="Überblick", content="ZUSAMMENFASSUNG ÄÖÜ", category="mail", tags=["shorter"])


@pytest.mark.usefixtures("prompts")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["summary", "Farewell", "greeting"]),
        ({"q": "GREET"}, ["greeting"]),
        ({"q": "farewell"}, ["Farewell"]),
        ({"q": "goodBYE"}, ["Farewell"]),
        ({"q": "guten tag"}, ["greeting"]),
        ({"q": "überblick"}, ["summary"]),
        ({"q": "äöü"}, ["summary"]),
        ({"q": "100% sure_thing"}, ["Farewell"]),
        ({"q": "%"}, ["Farewell"]),
        ({"q": "_"}, ["Farewell"]),
        ({"q": "ü.*"}, []),
        ({"q": "nowhere"}, []),
        ({"env": "prod"}, ["summary", "greeting"]),
        ({"env": "dev"}, ["Farewell"]),
        ({"env": "pro"}, []),
        ({"category": "mail"}, ["summary", "greeting"]),
        ({"category": "mai"}, []),
        ({"tag": "short"}, ["Farewell", "greeting"]),
        ({"tag": "Short"}, []),
        ({"tag": "shor"}, []),
        ({"tag": "shorter"}, ["summary"]),
        ({"key": "greeting"}, ["greeting"]),
        ({"key": "greet"}, []),
        ({"workspace": "default"}, ["summary", "Farewell", "greeting"]),
        ({"workspace": "elsewhere"}, []),
        ({"q": "e", "category": "mail", "tag": "de", "env": "prod"}, ["greeting"]),
        ({"ordering": "created_at"}, ["greeting", "Farewell", "summary"]),
        ({"ordering": "-name"}, ["summary", "greeting", "Farewell"]),
        ({"limit": 1}, ["summary"]),
        ({"limit": 1, "offset": 1}, ["Farewell"]),
        ({"limit": 0}, []),
        ({"offset": 3}, []),
        ({"limit": 999_999}, ["summary", "Farewell", "greeting"]),
    ],
    ids=str,
)
def test_a_list_has_the_prompts_that_every_filter_lets_through_newest_first(
    viewer: APIClient, query: dict[str, str | int], expected: list[str]
) -> None:
    assert keys(viewer, **query) == expected


@pytest.mark.usefixtures("prompts")
@pytest.mark.parametrize(
    "query",
    [{"ordering": "secret"}, {"ordering": "-content"}, {"limit": "-1"}, {"limit": "x"}, {"offset": "1.5"}],
    ids=str,
)
def test_an_ordering_or_a_page_that_there_is_not_is_refused_and_named(viewer: APIClient, query: dict[str, str]) -> None:
    answer = viewer.get("/api/prompts", query)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == list(query)


@pytest.mark.usefixtures("prompts")
def test_the_total_counts_each_prompt_once_whatever_its_tags_and_the_page(viewer: APIClient) -> None:
    queries: list[dict[str, str | int]] = [{"limit": 1}, {"q": "o", "limit": 1}, {"tag": "short", "limit": 0}]
    for query in queries:
        answer = viewer.get("/api/prompts", query).json()
        assert answer["total"] == len(keys(viewer, **{**query, "limit": 200}))


def test_pages_ordered_by_a_name_that_all_share_have_each_prompt_once(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    made = [make_prompt(f"p{number}", name="same") for number in range(9)]
    seen = []
    for page in range(3):
        seen += keys(editor, ordering="name", limit=3, offset=3 * page)
        for prompt in made[page::3]:  # rows that are written anew move about in the table
            editor.patch(f"/api/prompts/{prompt['id']}", {"content": f"{page}"})
    assert seen == [f"p{number}" for number in reversed(range(9))]


@pytest.mark.usefixtures("prompts")
def test_what_is_in_a_workspace_that_somebody_does_not_see_is_in_none_of_their_lists(
    admin: APIClient, viewer: APIClient, other_workspace: Workspace
) -> None:
    made = admin.post(
        "/api/prompts", {"key": "theirs", "env": "prod", "workspace_id": other_workspace.pk, "tags": "short"}
    )
    assert made.status_code == 201
    assert keys(admin, workspace=other_workspace.pk) == ["theirs"]
    assert keys(admin, tag="short") == ["theirs", "Farewell", "greeting"]
    assert keys(viewer, workspace=other_workspace.pk) == []
    assert keys(viewer, tag="short") == ["Farewell", "greeting"]


def test_a_list_costs_as_many_queries_for_three_prompts_as_for_one(viewer: APIClient, make_prompt: MakePrompt) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert viewer.get("/api/prompts").status_code == 200
        return len(captured)

    make_prompt("one", tags=["a", "b"], publish=True)
    alone = queries()
    make_prompt("two", tags=["a", "b"], publish=True)
    make_prompt("three", tags=["a"], env="dev")
    assert queries() == alone
