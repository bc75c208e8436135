"""Spans of model calls. They are off unless OpenTelemetry's own variables configure an exporter, and are without
prompts and outputs unless another variable asks for these.

    OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)   where spans go, by OTLP over HTTP
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true               prompts and outputs go too
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from agents.providers.protocol import Completion, Message, ModelCall

#: Names of OpenTelemetry's semantic conventions for generative AI (1.38), as far as they are used here.
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
ERROR_TYPE = "error.type"
CHAT = "chat"
#: The attributes of a span that are parameters of the call.
PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
}


class Span:
    """The span of one call. Does nothing when no exporter is configured."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def complete(self, completion: Completion) -> None:
        """The call went well."""
        if self._inner is None:
            return
        attributes = {
            RESPONSE_MODEL: completion.model,
            USAGE_INPUT_TOKENS: completion.usage.prompt_tokens,
            USAGE_OUTPUT_TOKENS: completion.usage.output_tokens,
        }
        if completion.finish_reason:
            attributes[RESPONSE_FINISH_REASONS] = [completion.finish_reason]
        if _with_content():
            attributes[OUTPUT_MESSAGES] = _messages([Message(role="assistant", content=completion.output)])
        self._inner.set_attributes(attributes)


@contextmanager
def chat(call: ModelCall) -> Iterator[Span]:
    """The span of a call, from its beginning to its end."""
    tracer = _tracer()
    if tracer is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode  # loaded only with an exporter

    inner = tracer.start_span(f"{CHAT} {call.model}", kind=SpanKind.CLIENT, attributes=_request(call))
    try:
        yield Span(inner)
    except BaseException as error:
        inner.set_attribute(ERROR_TYPE, type(error).__name__)
        inner.set_status(Status(StatusCode.ERROR, str(error)[:500]))
        raise
    finally:
        inner.end()


@functools.cache
def _tracer() -> Any:
    """Where spans are made; None when they have nowhere to go."""
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", "TRACES_")):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # loaded only with an exporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "promptops")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("promptops")


def _request(call: ModelCall) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        OPERATION_NAME: CHAT,
        PROVIDER_NAME: call.provider.telemetry_name or call.provider.name,
        REQUEST_MODEL: call.model,
    }
    for name, attribute in PARAMETERS.items():
        if isinstance(call.parameters.get(name), int | float):
            attributes[attribute] = call.parameters[name]
    if _with_content():
        attributes[INPUT_MESSAGES] = _messages(call.conversation)
    return attributes


def _with_content() -> bool:
    return os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() == "true"


def _messages(messages: Iterable[Message]) -> str:
    parts = [{"role": one.role, "parts": [{"type": "text", "content": one.content}]} for one in messages]
    return json.dumps(parts, ensure_ascii=False)
