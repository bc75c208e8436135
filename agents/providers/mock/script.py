"""What the mock answers where tools or JSON are asked for, so that agents can be tried offline. Pure.

`mock-tools` calls every tool on offer, once, with arguments made from its schema. `mock-script` does what the last
message of the user says line by line: `@call name {"argument": 1}` calls a tool (several on one line in one turn),
`@answer text` answers with that text; each line is one turn, and after the last it answers as usual. A request for
JSON by a schema gets the simplest value that is valid by it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Step = tuple[Sequence[tuple[str, str]], str]

_SCHEMA = re.compile(r"JSON Schema:\n(.*)", re.DOTALL)


def next_step(body: Mapping[str, Any]) -> Step:
    """The tools that the answer to a request calls, each with its arguments in JSON, and the text of the answer.

    `body` is the request, in OpenAI's format.
    """
    messages, model = body["messages"], body["model"]
    start = max((number for number, one in enumerate(messages) if _is_question(one)), default=0)
    turns = sum(message["role"] == "assistant" for message in messages[start:])
    if model == "mock-script":
        lines = [line for line in _text(messages[start]).splitlines() if line.startswith(("@call ", "@answer "))]
        if turns < len(lines):
            return _scripted(lines[turns])
    if model == "mock-tools" and turns == 0 and body.get("tools"):
        tools = [tool["function"] for tool in body["tools"]]
        return [(one["name"], json.dumps(example(one["parameters"], one["name"]))) for one in tools], ""
    in_json = messages[0]["role"] == "system"
    texts = "\n".join(_text(message) for message in messages[in_json:] if _text(message))
    output = f"mock completion for: {texts}"
    if in_json:
        wanted = _SCHEMA.search(_text(messages[0]))
        output = json.dumps(example(json.loads(wanted[1]) if wanted else {}, output), ensure_ascii=False)
    return [], output


def _is_question(message: Mapping[str, Any]) -> bool:
    """Whether the user asks it, and it is not the agent's request to correct an answer."""
    return message["role"] == "user" and not _text(message).startswith("This is not what was asked for")


def _text(message: Mapping[str, Any]) -> str:
    return str(message["content"] or "")


def _scripted(line: str) -> Step:
    if line.startswith("@answer "):
        return [], line.removeprefix("@answer ")
    calls = []
    for one in re.split(r"(?:^|\s)@call ", line):
        name, _, arguments = one.strip().partition(" ")
        if name:
            calls.append((name, arguments.strip() or "{}"))
    return calls, ""


def example(schema: Any, text: str, root: Any = None) -> Any:
    """The simplest value that is valid by a schema, with `text` for strings. It knows the common keywords."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return text
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "examples"):
        if schema.get(name):
            return schema[name][0]
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[part] if isinstance(target, dict) and part in target else {}
        return example(target, text, root)
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return example({**schema[name][0], **{k: v for k, v in schema.items() if k != name}}, text, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", [])
        return {name: example(schema.get("properties", {}).get(name, {}), text, root) for name in wanted}
    if kind == "array":
        return [example(schema.get("items", {}), text, root)] * schema.get("minItems", 0)
    if kind in {"integer", "number"}:
        return schema.get("minimum", min(1, schema.get("maximum", 1)))
    if kind in {"boolean", "null"}:
        return True if kind == "boolean" else None
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), "x")
