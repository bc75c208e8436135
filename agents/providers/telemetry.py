"""Spans of model calls. Off unless an exporter is configured, by OpenTelemetry's own variables; without content unless
that is asked for too.

    OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)   where spans go, by OTLP over HTTP
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true               prompts and outputs go too
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agents.providers import conventions
from agents.providers.protocol import Completion, ModelCall


class Span:
    """What is told of one call. Does nothing when nobody listens."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def complete(self, completion: Completion) -> None:
        """The call went well."""
        if self._inner is None:
            return
        told = {
            conventions.RESPONSE_MODEL: completion.model,
            conventions.USAGE_INPUT_TOKENS: completion.usage.prompt_tokens,
            conventions.USAGE_OUTPUT_TOKENS: completion.usage.output_tokens,
        }
        if completion.finish_reason:
            told[conventions.RESPONSE_FINISH_REASONS] = [completion.finish_reason]
        if _with_content():
            told[conventions.OUTPUT_MESSAGES] = _messages([{"role": "assistant", "content": completion.output}])
        self._inner.set_attributes(told)


@contextmanager
def chat(call: ModelCall) -> Iterator[Span]:
    """The span of a call, from its beginning to its end."""
    tracer = _tracer()
    if tracer is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode  # not loaded where nobody listens

    inner = tracer.start_span(f"{conventions.CHAT} {call.model}", kind=SpanKind.CLIENT, attributes=_asked(call))
    try:
        yield Span(inner)
    except BaseException as error:
        inner.set_attribute(conventions.ERROR_TYPE, type(error).__name__)
        inner.set_status(Status(StatusCode.ERROR, str(error)[:500]))
        raise
    finally:
        inner.end()


@functools.cache
def _tracer() -> Any:
    """Where spans are made; None when they have nowhere to go."""
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", "TRACES_")):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # not loaded for nothing
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "promptops")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("promptops")


def _asked(call: ModelCall) -> dict[str, Any]:
    asked: dict[str, Any] = {
        conventions.OPERATION_NAME: conventions.CHAT,
        conventions.PROVIDER_NAME: conventions.PROVIDERS.get(call.provider.name, call.provider.name),
        conventions.REQUEST_MODEL: call.model,
    }
    for name, attribute in conventions.PARAMETERS.items():
        if isinstance(call.parameters.get(name), int | float):
            asked[attribute] = call.parameters[name]
    if _with_content():
        asked[conventions.INPUT_MESSAGES] = _messages(call.said)
    return asked


def _with_content() -> bool:
    return os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() == "true"


def _messages(said: Iterable[Mapping[str, Any]]) -> str:
    told = [
        {"role": message["role"], "parts": [{"type": "text", "content": message.get("content") or ""}]}
        for message in said
    ]
    return json.dumps(told, ensure_ascii=False)
