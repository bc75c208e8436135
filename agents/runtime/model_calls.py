"""The one place where the server calls a model: with a span, priced, and counted in the run's budget."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agents.providers import pricing, telemetry
from agents.providers.protocol import Completion, ModelCall
from agents.runtime.budget import Budget
from governance.core.errors import ProviderError
from governance.runs.usage import TokenUsage

#: Publishes an event of a run as it happens: its name and its data.
Emit = Callable[[str, dict[str, Any]], None]


async def call_model(call: ModelCall, *, budget: Budget, emit: Emit | None) -> Completion:
    """Make one call. With `emit` the output is streamed as `delta` events.

    What the call used is added to `budget`, as an estimate where it failed after a part of its answer: providers charge
    for that too. Raises ProviderError and ProviderTimeoutError.
    """
    try:
        with telemetry.chat(call) as span:
            completion = await _completion(call, emit)
            span.complete(completion)
    except ProviderError as error:
        if "output" in error.extra:
            budget.add(_priced(pricing.estimate(call, error.extra["output"]), call, call.model))
        raise
    completion = replace(completion, usage=_priced(completion.usage, call, completion.model))
    budget.add(completion.usage)
    return completion


async def _completion(call: ModelCall, emit: Emit | None) -> Completion:
    client = call.provider.client
    if emit is None:
        return await client.complete(call)
    completion: Completion | None = None
    async for item in client.stream(call):
        if isinstance(item, Completion):
            completion = item
        else:
            emit("delta", {"text": item})
    if completion is None:
        raise ProviderError(f"{call.provider.label} answered without a completion")
    return completion


def _priced(usage: TokenUsage, call: ModelCall, model: str) -> TokenUsage:
    return pricing.with_cost(usage, provider=call.provider, model=model)
