"""The shapes in which providers answer, each whole and as a stream: what is an answer is read, nothing else is one."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.providers.openai_compatible.client import OpenAICompatible
from agents.providers.openai_compatible.reading import Answer, UnusableError
from agents.providers.protocol import Completion, ModelCall, Provider

PROVIDER = Provider(name="p", label="P", client=OpenAICompatible(), base_url="https://p.example/v1", default_model="m")
CALL = ModelCall(provider=PROVIDER, model="m", prompt="Hi", base_url=PROVIDER.base_url, api_key=None, timeout=1)
DONE = "data: [DONE]\n\n"


def whole(ends: str | None = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": ends}
    return {"id": "c", "object": "chat.completion", "model": "m-told", "choices": [choice]}


def piece(ends: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m-told", "choices": [{"index": 0, "delta": delta, "finish_reason": ends}]}


def sse(*pieces: Any) -> str:
    return "".join(one if isinstance(one, str) else f"data: {json.dumps(one)}\n\n" for one in pieces)


def called(name: str | None = "look", arguments: Any = None, **more: Any) -> dict[str, Any]:
    named = {"name": name} if name is not None else {}
    said = {"arguments": arguments} if arguments is not None else {}
    return {"type": "function", "function": {**named, **said}, **more}


def read(*pieces: bytes) -> tuple[list[str], Completion]:
    """What was handed on, and the completion, of a body that comes in these pieces."""
    answer = Answer()
    texts = [text for one in pieces for text in answer.feed(one)]
    texts += answer.end()
    completion = answer.completion(CALL)
    assert "".join(texts) == completion.output, "what is seen in a stream is what was said"
    return texts, completion


def body_of(said: Any) -> bytes:
    return (said if isinstance(said, str) else json.dumps(said)).encode()


THINK = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
TEXT = {"type": "text", "text": "It is 391"}
ROME, OSLO = '{"city": "Rome"}', '{"city": "Oslo"}'

#: The answer whole, the pieces of the same as a stream, and what is read of both.
SHAPES: dict[str, tuple[Any, list[Any], dict[str, Any]]] = {
    "a text": (whole(content="Fine."), [piece(content="Fi"), piece(content="ne."), piece("stop")], {"output": "Fine."}),
    "parts of a content": (
        whole(content=[THINK, TEXT]),
        [piece(content=[THINK]), piece(content=[TEXT]), piece("stop")],
        {"output": "It is 391", "reasoning": "hm"},
    ),
    "a content that is one part": (
        whole(content=TEXT),
        [piece(content=TEXT), piece("stop")],
        {"output": "It is 391"},
    ),
    "parts with the text in an object": (
        whole(content=[{"type": "output_text", "text": {"value": "Fine."}}]),
        [piece(content=[{"type": "output_text", "text": {"value": "Fine."}}]), piece("stop")],
        {"output": "Fine."},
    ),
    "a refusal": (
        whole(content=None, refusal="I can't help."),
        [piece(refusal="I can't "), piece(refusal="help."), piece("stop")],
        {"output": "I can't help.", "refusal": "I can't help.", "finish_reason": "refusal"},
    ),
    "a refusal among parts": (
        whole(content=[{"type": "refusal", "refusal": "No."}]),
        [piece(content=[{"type": "refusal", "refusal": "No."}]), piece("stop")],
        {"output": "No.", "refusal": "No.", "finish_reason": "refusal"},
    ),
    "what a filter stopped": (
        whole("content_filter", content="Take a"),
        [piece(content="Take a"), piece("content_filter")],
        {"output": "Take a", "finish_reason": "content_filter"},
    ),
    "reasoning beside the text": (
        whole(content="Rome", reasoning_content="hm, Rome"),
        [piece(reasoning_content="hm, "), piece(reasoning_content="Rome"), piece(content="Rome"), piece("stop")],
        {"output": "Rome", "reasoning": "hm, Rome"},
    ),
    "reasoning by its other name": (
        whole(content="Rome", reasoning="hm"),
        [piece(reasoning="hm"), piece("stop", content="Rome")],
        {"output": "Rome", "reasoning": "hm"},
    ),
    "reasoning in the text": (
        whole(content="<think>\nhm <b>\n</think>\n\nRome"),
        [*(piece(content=one) for one in ("<th", "ink>\nh", "m <b>\n</", "think>", "\n", "\nRo", "me")), piece("stop")],
        {"output": "Rome", "reasoning": "hm <b>"},
    ),
    "reasoning in the text without an end": (
        whole("length", content="<think>hm, per"),
        [piece(content="<think>hm"), piece(content=", per"), piece("length")],
        {"output": "<think>hm, per", "finish_reason": "length"},
    ),
    "a text that only looks like reasoning": (
        whole(content=" <thing> </think>"),
        [piece(content=" <th"), piece(content="ing> </think>"), piece("stop")],
        {"output": " <thing> </think>"},
    ),
    "a character in two halves": (
        '{"choices": [{"message": {"content": "\\ud83d\\ude00"}}]}',
        ['data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n', piece("stop", content="\ude00")],
        {"output": "\U0001f600"},
    ),
    "an empty answer": (whole(content=""), [piece(content=""), piece("stop")], {"output": "", "finish_reason": "stop"}),
    "the old form of completions": (
        {"choices": [{"text": "Fine.", "finish_reason": "stop"}]},
        [{"choices": [{"text": "Fi"}]}, {"choices": [{"text": "ne.", "finish_reason": "stop"}]}],
        {"output": "Fine."},
    ),
    "a null error beside an answer": (
        {**whole(content="Fine."), "error": None, "detail": ""},
        [{**piece("stop", content="Fine."), "error": None}],
        {"output": "Fine."},
    ),
}

CALLS: dict[str, tuple[Any, list[Any], list[tuple[str, str]]]] = {
    "two calls": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, id="a"), called("look", OSLO, id="b")]),
        [
            piece(tool_calls=[called("look", "", id="a", index=0)]),
            piece(tool_calls=[called(None, ROME, index=0)]),
            piece(tool_calls=[called("look", "", id="b", index=1)]),
            piece(tool_calls=[called(None, OSLO[:5], index=1)]),
            piece(tool_calls=[called(None, OSLO[5:], index=1)]),
        ],
        [("a", ROME), ("b", OSLO)],
    ),
    "arguments as an object": (
        whole("tool_calls", content=None, tool_calls=[called("look", {"city": "Rome"}, id="a")]),
        [piece(tool_calls=[called("look", {"city": "Rome"}, id="a", index=0)])],
        [("a", ROME)],
    ),
    "no ids and no index": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME), called("look", OSLO)]),
        [
            piece(tool_calls=[called("look", "")]),
            piece(tool_calls=[called(None, ROME[:6])]),
            piece(tool_calls=[called(None, ROME[6:])]),
            piece(tool_calls=[called("look", OSLO)]),
        ],
        [("call_0", ROME), ("call_1", OSLO)],
    ),
    "ids that are told once, and no index": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, id="a"), called("look", OSLO, id="b")]),
        [
            piece(tool_calls=[called("look", "", id="a")]),
            piece(tool_calls=[called(None, ROME)]),
            piece(tool_calls=[called("look", "", id="b")]),
            piece(tool_calls=[called(None, OSLO)]),
        ],
        [("a", ROME), ("b", OSLO)],
    ),
    "whole calls of one index": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, index=0), called("look", OSLO, index=0)]),
        [
            piece(tool_calls=[called("look", ROME, index=0, id="")]),
            piece(tool_calls=[called("look", OSLO, index=0, id="")]),
        ],
        [("call_0", ROME), ("call_1", OSLO)],
    ),
    "whole calls of one index with ids": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, id="a"), called("look", OSLO, id="b")]),
        [
            piece(
                tool_calls=[called("look", ROME, index=0, id="a"), called("look", OSLO, index=0, id="b")],
            )
        ],
        [("a", ROME), ("b", OSLO)],
    ),
    "calls of one id": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, id="x"), called("look", OSLO, id="x")]),
        [piece(tool_calls=[called("look", ROME, id="x")]), piece(tool_calls=[called("look", OSLO, id="x")])],
        [("x", ROME), ("x_1", OSLO)],
    ),
    "a name that comes with every piece": (
        whole("tool_calls", content=None, tool_calls=[called("look", ROME, id="a")]),
        [
            piece(tool_calls=[called("look", ROME[:4], index=0, id="a")]),
            piece(tool_calls=[called("look", ROME[4:], index=0, id="a")]),
            piece(tool_calls=[called("look", "", index=0, id="a")]),
        ],
        [("a", ROME)],
    ),
    "what calls were called first": (
        whole("function_call", content=None, function_call={"name": "look", "arguments": ROME}),
        [
            piece(function_call={"name": "look", "arguments": ""}),
            piece(function_call={"arguments": ROME}),
        ],
        [("call_0", ROME)],
    ),
    "the name beside the function": (
        whole("tool_calls", content=None, tool_calls=[{"id": "a", "name": "look", "arguments": ROME}]),
        [piece(tool_calls=[{"id": "a", "name": "look", "arguments": ROME, "index": 0}])],
        [("a", ROME)],
    ),
}

#: What is no answer, with what is said about it; whole, and as the first that a stream has.
ERRORS: dict[str, tuple[Any, str]] = {
    "an error": ({"error": {"message": "no", "type": "t"}}, "no"),
    "an error that is a text": ({"error": "no such model"}, "no such model"),
    "an error that has only a code": ({"error": {"code": "model_not_found"}}, "model_not_found"),
    "an error with what is behind it": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": '{"detail": "full"}'}}},
        'Provider returned error ({"detail": "full"})',
    ),
    "a list with an error": ([{"error": {"code": 400, "message": "bad key", "status": "INVALID_ARGUMENT"}}], "bad key"),
    "a detail": ({"detail": "Not Found"}, "Not Found"),
    "details": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
    "an object of errors": ({"object": "error", "message": "too long", "code": 40303}, "too long"),
    "a message": ({"message": "no quota", "request_id": "r"}, "no quota"),
    "errors": ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
    "an error in a choice": ({"choices": [{"error": {"code": 400, "message": "moderated"}}]}, "moderated"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_of_any_shape_is_read_the_same_whole_and_as_a_stream(name: str) -> None:
    said, pieces, expected = SHAPES[name]
    read_whole = read(body_of(said))[1]
    streamed = read(sse(*pieces, DONE).encode())[1]
    for completion in (read_whole, streamed):
        assert {field: getattr(completion, field) for field in expected} == expected


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_any_shape_are_read_the_same_whole_and_as_a_stream(name: str) -> None:
    said, pieces, expected = CALLS[name]
    for completion in (read(body_of(said))[1], read(sse(*pieces, piece("tool_calls"), DONE).encode())[1]):
        assert [(one.id, one.arguments) for one in completion.tool_calls] == expected
        assert {one.name for one in completion.tool_calls} == {"look"}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_any_shape_is_none_but_an_error_with_the_providers_reason(name: str) -> None:
    said, words = ERRORS[name]
    with pytest.raises(UnusableError) as caught:
        read(body_of(said))
    assert str(caught.value) == f"answered without a completion: {words}"
    with pytest.raises(UnusableError) as caught:
        read(sse(piece(content="Half of "), said, DONE).encode())
    assert str(caught.value) == f"broke off: {words}"


@pytest.mark.parametrize("body", [sse(piece("stop", content="Fine.")), json.dumps(whole(content="Fine."))])
def test_an_answer_may_be_waited_for_with_white_space_however_long(body: str) -> None:
    answer = Answer()
    for byte in b" \r\n" * 1500 + body.encode():
        list(answer.feed(bytes([byte])))
    list(answer.end())
    assert answer.output == "Fine."


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("", "ended without saying that the answer is over"),
        ("data: {", "ended in the middle of an event"),
        ('event: error\ndata: {"message": "model crashed"}\n\n', "model crashed"),
        ("event: error\ndata: out of memory\n\n", "out of memory"),
        (sse(piece("error")), "it ended with error"),
        (sse(piece("insufficient_system_resource"), DONE), "insufficient_system_resource"),
        ("data: oops\n\n", "can't be read: oops"),
    ],
)
def test_half_of_a_stream_is_no_answer(end: str, words: str) -> None:
    with pytest.raises(UnusableError, match=words):
        read((sse(piece(content="Do not press the")) + end).encode())


@pytest.mark.parametrize(
    "body",
    [
        sse(piece("stop", content="Fine.")),
        sse(piece(content="Fine."), DONE),
        sse(piece("stop", content="Fine.")).rstrip("\n"),
        sse(": at work\n\n", piece(content="Fine."), piece("stop"), DONE, '{"error": "after the end"}'),
        sse("event: ping\ndata: {}\n\n", piece(content="Fine."), {"choices": [], "usage": {}}, piece("stop")),
        sse(piece(content="Fine."), piece("stop")).replace("\n", "\r\n"),
        sse(piece(content="Fine."), piece("stop")).replace("\n", "\r"),
        "\ufeff" + sse(piece("stop", content="Fine.")),
        json.dumps(whole(content="Fine.")),
        "\ufeff\n  " + json.dumps(whole(None, content="Fine.")),
    ],
)
def test_an_answer_that_ends_in_any_of_the_usual_ways_is_whole(body: str) -> None:
    assert read(body.encode())[1].output == "Fine."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<!doctype html><html><head><title>502 Bad\nGateway</title></head><body>x</body>", ": 502 Bad Gateway"),
        ("<p>Welcome <b>in</b></p>", ": Welcome in"),
        ("", "answered without a completion"),
        ("upstream error", "can't be read: .*upstream error"),
        ('"rate limited"', ": rate limited"),
        (json.dumps(whole(content=7)), "neither a text nor parts"),
        (json.dumps(whole(content=[{"type": "image_url", "image_url": {}}])), "it sent image_url"),
        (json.dumps(whole(content=None, tool_calls=[called(None, ROME)])), "without naming it"),
        ("data: [DONE]\n\n", "answered without a completion"),
        (": at work\n\n", "answered without a completion"),
    ],
)
def test_what_is_no_answer_at_all_is_told_in_the_providers_words(body: str, words: str) -> None:
    with pytest.raises(UnusableError, match=words):
        read(body.encode())


BODIES = [sse(*pieces, piece("stop"), DONE) for _, pieces, _ in (*SHAPES.values(), *CALLS.values())]
BODIES += [body.replace("\n", "\r\n") for body in BODIES] + [json.dumps(whole(content="Fein, \u00fcber alles."))]


@given(st.sampled_from(BODIES), st.lists(st.integers(0, 600), max_size=30))
def test_where_a_body_is_torn_apart_changes_nothing(body: str, cuts: list[int]) -> None:
    raw = body.encode()
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:end] for start, end in pairwise(places)]
    assert read(*pieces)[1] == read(raw)[1]
