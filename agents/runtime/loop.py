"""An agent at work: it asks the model, calls the tools that the model wants, tells it what came of them, and so on,
until the model has an answer that will do (docs/adr/0008).

Every turn is one call by the client that all calls go by, so timeouts, limits of size, spans and errors are the same.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from agents.providers import openai_compatible
from agents.providers.answers.reading import REFUSED, usage_of
from agents.providers.pricing import cost_of
from agents.providers.protocol import Completion, ModelCall, ToolCall, worded
from agents.runtime import json_answers, schemas
from agents.runtime.toolbox import MAX_OUTPUT, Caller, Limits, Meter, Tool
from governance.core.errors import DomainError, ProviderError

#: How often a model may mend an answer that is not the JSON that was asked for.
REPAIRS = 2
#: Tools that a model may call in one turn, and how many of them work at once.
MAX_CALLS = 32
AT_ONCE = 8
#: Characters of a text that the trace keeps.
TRACED = 2_000

#: Tells what happens, as it happens: the name of an event, and its data.
Tell = Callable[[str, dict[str, Any]], None]

_NO_OUTPUT = "(no output)"
#: Characters of malformed arguments that a model is shown again.
_SHOWN = 500

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
            messages += await _results(call, completion, tools, caller, turn, tell)
            continue
        parsed, problem = await _checked(task, completion)
        if problem is None:
            return Done(completion=completion, parsed=parsed)
        turn["problem"] = problem
        final = _beyond_mending(completion)
        if final is None and repairs == REPAIRS:
            final = f"the answer is not what was asked for, {REPAIRS + 1} times"
        if final is not None:
            raise BadOutputError(f"{final}: {problem}", extra={"output": completion.output})
        repairs += 1
        messages += [
            {"role": "assistant", "content": worded(completion.output)},
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
    is_known = "response_format" not in call.provider.unsupported
    if is_known and not tools and task.schema and task.schema.get("type") == "object":
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
    with halves_counted(call, meter):
        if tell is None:
            completion = await openai_compatible.complete(call)
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


@contextmanager
def halves_counted(call: ModelCall, meter: Meter) -> Iterator[None]:
    """Count what half of an answer used, as an estimate: providers charge for it too."""
    try:
        yield
    except ProviderError as error:
        if "output" in error.extra:
            usage = usage_of(None, call, error.extra["output"])
            meter.add(usage, cost_of(provider=call.provider.name, model=call.model, usage=usage))
        raise


async def _told(call: ModelCall, tell: Tell) -> Completion:
    async for item in openai_compatible.stream(call):
        if not isinstance(item, str):
            return item
        tell("delta", {"text": item})
    raise ProviderError(f"{call.provider.label} answered without a completion")


async def _results(
    asked: ModelCall,
    completion: Completion,
    tools: Mapping[str, Tool],
    caller: Caller,
    turn: dict[str, Any],
    tell: Tell | None,
) -> list[dict[str, Any]]:
    """What the model wanted, and what came of it, as messages of the conversation.

    They are what any provider takes: arguments are a JSON object, whatever the model made of them, no message is empty,
    and thoughts go back to providers that want them with the outcome of the calls.
    """
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
            "function": {"name": call.name, "arguments": _well_formed(call.arguments)},
            **({"extra_content": call.extra} if call.extra else {}),
        }
        for call in calls
    ]
    carried = {name: value for name, value in completion.carried.items() if name not in asked.provider.unsupported}
    said = completion.output if completion.output.strip() else None
    return [
        {"role": "assistant", "content": said, **carried, "tool_calls": wishes},
        *(
            {"role": "tool", "tool_call_id": call.id, "content": done.result() if done.result().strip() else _NO_OUTPUT}
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
        arguments = _read_arguments(call.arguments)
    except ValueError as error:
        raise BadOutputError(f"the arguments are not JSON: {error}; they were: {call.arguments[:_SHOWN]}") from None
    if not isinstance(arguments, dict):
        raise BadOutputError(f"the arguments are no JSON object; they were: {call.arguments[:_SHOWN]}")
    problem = await schemas.problem(tool.parameters, arguments)
    if problem is not None:
        raise BadOutputError(f"the arguments are not what the tool takes: {problem}")
    return arguments


def _read_arguments(text: str) -> Any:
    """Arguments as a value; some models put their JSON into a text of JSON. Raises ValueError for what is no JSON."""
    value = json_answers.read(text) if text.strip() else {}
    return json_answers.read(value) if isinstance(value, str) else value


def _well_formed(text: str) -> str:
    """Arguments as they go back to the provider: many refuse a history in which they are no JSON object."""
    try:
        value = _read_arguments(text)
    except ValueError:
        return "{}"
    if not isinstance(value, dict):
        return "{}"
    return text if text.lstrip().startswith("{") else json.dumps(value, ensure_ascii=False)


async def _checked(task: Task, completion: Completion) -> tuple[Any, str | None]:
    """The answer's JSON, or what is wrong with it."""
    if task.tools and completion.finish_reason == "tool_calls" and not completion.output.strip():
        return None, "it was to call a tool, and named none"
    if task.schema is None:
        return None, None
    try:
        value = json_answers.read(completion.output)
    except ValueError as error:
        return None, str(error)
    return value, await schemas.problem(task.schema, value)


def _beyond_mending(completion: Completion) -> str | None:
    """Why it is no use to ask the model again; None when it is."""
    ends = (completion.finish_reason or "").lower()
    if ends in REFUSED:
        return f"the model refused to answer ({ends})"
    if ends in ("length", "max_tokens"):
        return f"the answer was cut off at the limit of its tokens ({ends})"
    return None
