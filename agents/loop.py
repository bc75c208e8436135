"""An agent at work: it asks the model, calls the tools that the model wants, tells it what came of them, and so on,
until the model has an answer that will do (docs/adr/0008).

Every turn is one call by the client that all calls go by, so timeouts, limits of size, spans and errors are the same.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents import schemas
from agents.pricing import cost_of
from agents.providers import client
from agents.providers.base import Completion, ModelCall, ToolCall
from agents.toolbox import MAX_OUTPUT, Caller, Limits, Meter, Tool
from governance.errors import DomainError, ProviderError

#: How often a model may mend an answer that is not the JSON that was asked for.
REPAIRS = 2
#: Tools that a model may call in one turn, and how many of them work at once.
MAX_CALLS = 32
AT_ONCE = 8
#: Characters of a text that the trace keeps.
TRACED = 2_000

#: Tells what happens, as it happens: the name of an event, and its data.
Tell = Callable[[str, dict[str, Any]], None]

_ANSWER_IN_JSON = "Answer with JSON only: one value, with nothing before or after it."
_BY_SCHEMA = " It must be valid by this JSON Schema:\n"


class BadOutputError(ProviderError):
    """The model did not come to an answer that will do."""

    code = "bad_output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an agent has to do beyond one call of a model. `schema` is None where text is asked for."""

    tools: Sequence[Tool] = ()
    schema: Mapping[str, Any] | None = None
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The answer, which is the last completion's, and its JSON, where that was asked for."""

    completion: Completion
    parsed: Any = None


async def work(
    *, call: ModelCall, task: Task, history: Sequence[Mapping[str, Any]], caller: Caller, tell: Tell | None
) -> Done:
    """Do it. `history` are the messages of earlier turns of a conversation.

    What it uses goes to the caller's meter. Raises LimitReachedError, BadOutputError, and ProviderError as a call does.
    """
    meter, tools, repairs = caller.meter, {tool.name: tool for tool in task.tools}, 0
    call = _prepared(call, task)
    messages = [*_instructions(task), *history, {"role": "user", "content": call.prompt}]
    while True:
        meter.require_more()
        turn, completion = await _turn(replace(call, messages=messages), meter, tell)
        if completion.tool_calls:
            messages += await _results(completion, tools, caller, turn, tell)
            continue
        parsed, problem = await _checked(task, completion.output)
        if problem is None:
            return Done(completion=completion, parsed=parsed)
        turn["problem"] = problem
        if repairs == REPAIRS:
            raise BadOutputError(f"the answer is not what was asked for, {REPAIRS + 1} times: {problem}")
        repairs += 1
        messages += [
            {"role": "assistant", "content": completion.output},
            {"role": "user", "content": f"This is not what was asked for: {problem}. {_ANSWER_IN_JSON}"},
        ]


def _prepared(call: ModelCall, task: Task) -> ModelCall:
    """The call with the tools on offer. Where there are none, providers that can hold a model to a schema are asked to:
    some refuse both at once, and most know objects only."""
    tools = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in task.tools
    ]
    parameters = dict(call.parameters)
    if not tools and task.schema and task.schema.get("type") == "object":
        shape = {"name": "output", "schema": task.schema, "strict": False}
        parameters.setdefault("response_format", {"type": "json_schema", "json_schema": shape})
    return replace(call, tools=tools, parameters=parameters)


def _instructions(task: Task) -> list[dict[str, Any]]:
    if task.schema is None:
        return []
    by_schema = _BY_SCHEMA + json.dumps(task.schema, ensure_ascii=False) if task.schema else ""
    return [{"role": "system", "content": _ANSWER_IN_JSON + by_schema}]


async def _turn(call: ModelCall, meter: Meter, tell: Tell | None) -> tuple[dict[str, Any], Completion]:
    """One call of the model, with its entry in the trace."""
    number, started = len(meter.usages) + 1, time.monotonic()
    if tell is None:
        completion = await client.complete(call)
    else:
        if number > 1:
            tell("turn", {"turn": number})
        completion = await _told(call, tell)
    cost = cost_of(provider=call.provider.name, model=completion.model, usage=completion.usage)
    meter.add(completion.usage, cost)
    turn: dict[str, Any] = {
        "turn": number,
        "output": completion.output[:TRACED],
        "prompt_tokens": completion.usage.prompt_tokens,
        "output_tokens": completion.usage.output_tokens,
        "cost_usd": None if cost is None else float(cost),
        "latency_ms": round((time.monotonic() - started) * 1000),
        "finish_reason": completion.finish_reason,
        "tools": [],
    }
    meter.turns.append(turn)
    return turn, completion


async def _told(call: ModelCall, tell: Tell) -> Completion:
    async for item in client.stream(call):
        if not isinstance(item, str):
            return item
        tell("delta", {"text": item})
    raise ProviderError(f"{call.provider.label} answered without a completion")


async def _results(
    completion: Completion, tools: Mapping[str, Tool], caller: Caller, turn: dict[str, Any], tell: Tell | None
) -> list[dict[str, Any]]:
    """What the model wanted, and what came of it, as the messages that tell it."""
    calls = completion.tool_calls
    if len(calls) > MAX_CALLS:
        raise BadOutputError(f"the model wants {len(calls)} calls of tools at once; {MAX_CALLS} is the limit")
    room = asyncio.Semaphore(AT_ONCE)

    async def one(call: ToolCall) -> str:
        async with room:
            entry: dict[str, Any] = {"name": call.name, "arguments": call.arguments[:TRACED]}
            turn["tools"].append(entry)
            if tell is not None:
                tell("tool_call", {"turn": turn["turn"], "id": call.id, **entry})
            output = await _called(call, tools.get(call.name), caller, entry)
            entry["output"] = output[:TRACED]
            if tell is not None:
                tell("tool_result", {"turn": turn["turn"], "id": call.id, **entry})
            return output

    async with asyncio.TaskGroup() as group:  # one that is cancelled takes the others with it
        working = [group.create_task(one(call)) for call in calls]
    wishes = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
            **({"extra_content": call.extra} if call.extra else {}),
        }
        for call in calls
    ]
    return [
        {"role": "assistant", "content": completion.output or None, "tool_calls": wishes},
        *(
            {"role": "tool", "tool_call_id": call.id, "content": done.result()}
            for call, done in zip(calls, working, strict=True)
        ),
    ]


async def _called(call: ToolCall, tool: Tool | None, caller: Caller, entry: dict[str, Any]) -> str:
    """What the tool made, or why it did not, for the model."""
    started = time.monotonic()
    try:
        arguments = await _arguments(call, tool)
        assert tool is not None  # noqa: S101  # there are no arguments for a tool that is not there
        entry["type"] = tool.kind
        returned = await tool.run(arguments, caller)
    except DomainError as error:
        entry["error"] = error.message
        if "run_id" in error.extra:
            entry["run_id"] = str(error.extra["run_id"])
        return f"error: {error.message}"
    finally:
        entry["latency_ms"] = round((time.monotonic() - started) * 1000)
    if returned.run_id is not None:
        entry["run_id"] = str(returned.run_id)
    over = len(returned.output) - MAX_OUTPUT
    return returned.output if over <= 0 else f"{returned.output[:MAX_OUTPUT]}\n[{over} more characters were cut off]"


async def _arguments(call: ToolCall, tool: Tool | None) -> Mapping[str, Any]:
    if tool is None:
        raise BadOutputError(f"there is no tool {call.name}")
    try:
        arguments = schemas.read(call.arguments or "{}")
    except ValueError as error:
        raise BadOutputError(f"the arguments are not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise BadOutputError("the arguments are no JSON object")
    problem = await schemas.problem(tool.parameters, arguments)
    if problem is not None:
        raise BadOutputError(f"the arguments are not what the tool takes: {problem}")
    return arguments


async def _checked(task: Task, output: str) -> tuple[Any, str | None]:
    """The answer's JSON, or what is wrong with it."""
    if task.schema is None:
        return None, None
    try:
        value = schemas.read(output)
    except ValueError as error:
        return None, str(error)
    return value, await schemas.problem(task.schema, value)
