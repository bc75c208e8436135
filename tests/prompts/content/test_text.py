"""Digests, documents and search texts are in databases and caches already: they stay to the byte what they were.

The expected values were computed by the release before content became a value of its own.
"""

from typing import Any

import pytest

from governance.tenancy.models import Environment
from prompts import documents
from prompts.content import stored
from prompts.content.text import TextContent
from prompts.models import Prompt, PromptVersion
from prompts.searching import folded_texts

ODD_CONFIG = {
    "z": 1e22,
    "y": 4.192461272448615e16,
    "a": {"é": -0.0, "B": 1.0, "漢": [1e-7, {"y": None, "x": True}]},
    "aa": 1,
}
#: Content, model, config; digest; the end of the document after its version; the folded search text.
VECTORS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    (
        "",
        "",
        {},
        "28061aad59c63fa4ab6a76b496ee11ae8fbeaf7892d42a7a8c3e30d0243d41a1",
        '"env":"prod","model":"","content":"","config":{}}',
        "k/ey\nnämé\n",
    ),
    (
        "Hello {{ name }}",
        "gpt-4o",
        {"temperature": 0.2, "stop": ["\n"]},
        "00301d2a539a39ee8aa09c7c7b9f17e0c5073161329c3910f783b832b010d018",
        '"env":"prod","model":"gpt-4o","content":"Hello {{ name }}","config":{"stop":["\\n"],"temperature":0.2}}',
        "k/ey\nnämé\nhello {{ name }}",
    ),
    (
        "é\u2028😀 {{a.b}} {{ a.b }} \ud800{{ü}}",
        "m",
        ODD_CONFIG,
        "fd3cefb0365e97ed3acea733db2ed8a64caa73431ea3babf7f81343e1ef3982a",
        '"env":"prod","model":"m","content":"é\u2028😀 {{a.b}} {{ a.b }} \ud800{{ü}}",'
        '"config":{"a":{"B":1.0,"é":0.0,"漢":[1e-07,{"x":true,"y":null}]},'
        '"aa":1,"y":41924612724486150,"z":10000000000000000000000}}',
        "k/ey\nnämé\né\u2028😀 {{a.b}} {{ a.b }} \ud800{{ü}}",
    ),
    (
        "line one\r\n{{{x}}}\n\tÉCLAIR e\u0301",
        "",
        {"b": 1, "a": 2},
        "7da21f63a36855dc1ee67e6d8789004b4aa26f5373b582d1beec209772d292a8",
        '"env":"prod","model":"","content":"line one\\r\\n{{{x}}}\\n\\tÉCLAIR e\u0301","config":{"a":2,"b":1}}',
        "k/ey\nnämé\nline one\r\n{{{x}}}\n\téclair é",
    ),
]


@pytest.mark.parametrize(("content", "model", "config", "digest", "document", "search"), VECTORS)
def test_a_text_prompt_has_the_digest_the_documents_and_the_search_text_that_it_had_before(
    content: str, model: str, config: dict[str, Any], digest: str, document: str, search: str
) -> None:
    prompt = Prompt(
        environment=Environment(name="prod"), key="k/ey", name="Nämé", content=content, model=model, config=config
    )
    version = PromptVersion(prompt=prompt, label="v3", content=content, model=model, config=config)
    prompt.derive()
    assert prompt.draft_digest == stored.of_row(version).digest(model=model, config=config) == digest
    assert documents.encode(documents.of_draft(prompt)) == '{"key":"k/ey","version":"v1",' + document
    assert documents.encode(documents.of_version(prompt, version)) == '{"key":"k/ey","version":"v3",' + document
    assert folded_texts(prompt) == search


def test_the_entity_tag_of_a_document_is_what_it_was_before() -> None:
    prompt = Prompt(environment=Environment(name="prod"), key="k/ey", content="", version="v7")
    assert documents.etag_of(documents.encode(documents.of_draft(prompt))) == '"b72f0ed290437ff0c9214063dd4e6596"'


def test_a_digest_is_the_same_for_every_order_of_a_configs_names_and_another_for_another_type() -> None:
    text = TextContent("x")
    assert text.digest(model="m", config={"a": 1, "b": 2}) == text.digest(model="m", config={"b": 2, "a": 1})
    assert text.digest(model="m", config={"a": 1}) != text.digest(model="m", config={"a": True})
    assert text.digest(model="m", config={}) != text.digest(model="", config={})


def test_what_a_content_stores_and_serves_reads_back_as_the_same_content() -> None:
    text = TextContent("Hello {{ name }}, {{a.b}} {{ name }}")
    assert set(text.columns()) == set(stored.COLUMNS)
    assert stored.of_row(PromptVersion(**text.columns())) == text
    assert stored.of_document(text.document()) == text
    assert text.variables == ["name", "a.b"]
    assert text.render({"name": "Ada"}).text == "Hello Ada, {{a.b}} Ada"


def test_a_comparison_with_nothing_shows_every_line_as_added_and_with_itself_no_row_that_differs() -> None:
    text = TextContent("one\ntwo")
    assert text.compare(TextContent("one\ntwo")).same
    assert (text.compare(None).added, text.compare(TextContent("one\n2")).removed) == (2, 1)
