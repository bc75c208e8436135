"""An agent's loop: it asks the model, calls the tools that the model wants, sends it their outputs, and so on until the
model has an answer that is accepted (docs/adr/0008).

Every turn is one call of the model like any other (model_calls), so that timeouts, limits, spans and errors are the
same.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.providers.protocol import Completion, Message, ModelCall, ToolCall, ToolSpec, non_empty
from agents.runtime import json_answers, schemas
from agents.runtime.budget import Budget, Limits
from agents.runtime.model_calls import Emit, call_model
from agents.runtime.toolbox import MAX_OUTPUT, Caller, Tool
from governance.core.errors import DomainError, ProviderError

#: How often a model may correct an answer that is not the JSON that was asked for.
REPAIRS = 2
#: Tools that a model may call in one turn, and how many of them work at once.
MAX_CALLS = 32
AT_ONCE = 8
#: Characters of a text that the trace keeps.
TRACED = 2_000

_NO_OUTPUT = "(no output)"
#: Characters of malformed arguments that the model gets back.
_SHOWN = 500

_ANSWER_IN_JSON = "Answer with JSON only: one value, with nothing before or after it."
_BY_SCHEMA = " It must be valid by this JSON Schema:\n"


class BadOutputError(ProviderError):
    """The model gave no answer that could be accepted."""

    code = "bad_output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an agent has to do beyond one call of a model. `schema` is None where text is asked for."""

    tools: Sequence[Tool] = ()
    schema: Mapping[str, Any] | None = None
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The last completion, and the JSON value of its output where JSON was asked for."""

    completion: Completion
    parsed: Any = None


async def run_loop(
    *, call: ModelCall, task: Task, history: Sequence[Message], caller: Caller, emit: Emit | None
) -> Done:
    """Run the loop to its end. `history` are the messages of the conversation's earlier turns.

    What it uses is added to the caller's budget. Raises LimitReachedError, BadOutputError, and what a call of a model
    raises.
    """
    budget, tools, repairs = caller.budget, {tool.name: tool for tool in task.tools}, 0
    call = _prepared(call, task)
    messages = [*_instructions(task), *history, Message(role="user", content=call.prompt)]
    while True:
        budget.require_more()
        turn, completion = await _turn(replace(call, messages=messages), budget, emit)
        if completion.tool_calls:
            messages += await _results(completion, tools, caller, turn, emit)
            continue
        parsed, problem = await _checked(task, completion)
        if problem is None:
            return Done(completion=completion, parsed=parsed)
        turn["problem"] = problem
        final = _why_final(completion)
        if final is None and repairs == REPAIRS:
            final = f"the answer is not what was asked for, {REPAIRS + 1} times"
        if final is not None:
            raise BadOutputError(f"{final}: {problem}", extra={"output": completion.output})
        repairs += 1
        correction = f"This is not what was asked for: {problem}. {_ANSWER_IN_JSON}"
        messages += [
            Message(role="assistant", content=non_empty(completion.output)),
            Message(role="user", content=correction),
        ]


def _prepared(call: ModelCall, task: Task) -> ModelCall:
    """The call with the tools on offer, or else with the schema for providers that can hold a model to one.

    Some providers refuse tools and a schema together, and most accept schemas of objects only.
    """
    tools = [ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in task.tools]
    parameters = dict(call.parameters)
    is_known = call.provider.supports("response_format")
    if is_known and not tools and task.schema and task.schema.get("type") == "object":
        shape = {"name": "output", "schema": task.schema, "strict": False}
        parameters.setdefault("response_format", {"type": "json_schema", "json_schema": shape})
    return replace(call, tools=tools, parameters=parameters)


def _instructions(task: Task) -> list[Message]:
    if task.schema is None:
        return []
    by_schema = _BY_SCHEMA + json.dumps(task.schema, ensure_ascii=False) if task.schema else ""
    return [Message(role="system", content=_ANSWER_IN_JSON + by_schema)]


async def _turn(call: ModelCall, budget: Budget, emit: Emit | None) -> tuple[dict[str, Any], Completion]:
    """One call of the model, with its entry in the trace."""
    number, started = len(budget.usages) + 1, time.monotonic()
    if emit is not None and number > 1:
        emit("turn", {"turn": number})
    completion = await call_model(call, budget=budget, emit=emit)
    turn: dict[str, Any] = {
        "turn": number,
        "output": completion.output[:TRACED],
        "prompt_tokens": completion.usage.prompt_tokens,
        "output_tokens": completion.usage.output_tokens,
        "cost_usd": completion.usage.cost_in_json,
        "latency_ms": round((time.monotonic() - started) * 1000),
        "finish_reason": completion.finish_reason,
        "tools": [],
    }
    budget.turns.append(turn)
    return turn, completion


async def _results(
    completion: Completion, tools: Mapping[str, Tool], caller: Caller, turn: dict[str, Any], emit: Emit | None
) -> list[Message]:
    """Call the tools that the model wants; returns its message and their outputs as messages of the conversation.

    They are what any provider accepts: arguments are a JSON object, whatever the model made of them, and no output is
    empty.
    """
    calls = completion.tool_calls
    if len(calls) > MAX_CALLS:
        raise BadOutputError(f"the model wants {len(calls)} calls of tools at once; {MAX_CALLS} is the limit")
    room = asyncio.Semaphore(AT_ONCE)

    async def one(call: ToolCall) -> str:
        async with room:
            entry: dict[str, Any] = {"name": call.name, "arguments": call.arguments[:TRACED]}
            turn["tools"].append(entry)
            if emit is not None:
                emit("tool_call", {"turn": turn["turn"], "id": call.id, **entry})
            output = await _called(call, tools.get(call.name), caller, entry)
            entry["output"] = output[:TRACED]
            if emit is not None:
                emit("tool_result", {"turn": turn["turn"], "id": call.id, **entry})
            return output

    async with asyncio.TaskGroup() as group:  # when one is cancelled, so are the others
        working = [group.create_task(one(call)) for call in calls]
    outputs = [done.result() if done.result().strip() else _NO_OUTPUT for done in working]
    return [
        Message(
            role="assistant",
            content=completion.output,
            tool_calls=[replace(call, arguments=_well_formed(call.arguments)) for call in calls],
            carried=completion.carried,
        ),
        *(
            Message(role="tool", tool_call_id=call.id, content=output)
            for call, output in zip(calls, outputs, strict=True)
        ),
    ]


async def _called(call: ToolCall, tool: Tool | None, caller: Caller, entry: dict[str, Any]) -> str:
    """The tool's output for the model, or why there is none."""
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


def _why_final(completion: Completion) -> str | None:
    """Why it is no use to ask the model again; None when it may be."""
    reason = (completion.finish_reason or "").lower()
    if completion.is_refused:
        return f"the model refused to answer ({reason})"
    if completion.is_cut_off:
        return f"the answer was cut off at the limit of its tokens ({reason})"
    return None
