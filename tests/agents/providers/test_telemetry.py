"""Spans of model calls, as a collector gets them from a real server."""

import time
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.agents.upstream import Upstream
from tests.faults.tools.support import installation


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self, server: HTTPServer) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        server.expect_request("/v1/traces").respond_with_handler(self._take)
        self.endpoint = f"http://{server.host}:{server.port}"

    def _take(self, request: Request) -> Response:
        sent = ExportTraceServiceRequest.FromString(request.get_data())
        for resource in sent.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Response(status=200)

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 15
        while len(self.spans) < count:
            assert time.monotonic() < deadline, f"{len(self.spans)} spans came"
            time.sleep(0.05)
        return [{"name": span.name, "status": span.status.code, **_attributes(span)} for span in self.spans]


def _attributes(span: Any) -> dict[str, Any]:
    found = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        found[attribute.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return found


@pytest.mark.parametrize("content", [False, True], ids=["without content", "with content"])
def test_each_call_is_a_span_with_the_conventions_names(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, content: bool
) -> None:
    with HTTPServer(host="127.0.0.1", threaded=True) as place:
        collector = Collector(place)
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PROMPTOPS_OPENAI_BASE_URL": upstream.base_url,
            "PROMPTOPS_PROVIDER_RETRIES": "0",
            "OPENAI_API_KEY": "sk-secret",
            **({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"} if content else {}),
        }
        with installation(tmp_path_factory, **variables) as server, server.client() as client:
            body = {"content": "private", "provider": "openai", "model": "m-1", "config": {"temperature": 0.5}}
            assert client.post("/api/playground/run", json=body).status_code == 200
            upstream.answers(Response("oops", 500))
            assert client.post("/api/playground/run", json=body).status_code == 502
            fine, failed = collector.wait_for(2)
    assert collector.services == {"promptops"}
    asked = {
        "name": "chat m-1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m-1",
        "gen_ai.request.temperature": 0.5,
    }
    texts = {name: fine.pop(name, None) for name in ("gen_ai.input.messages", "gen_ai.output.messages")}
    failed.pop("gen_ai.input.messages", None)
    assert fine == {
        **asked,
        "status": 0,
        "gen_ai.response.model": "model-of-the-provider",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
    }
    assert failed == {**asked, "status": 2, "error.type": "ProviderError"}
    for text, word in zip(texts.values(), ("private", "Fine."), strict=True):
        assert (text is not None and word in text) is content
    assert "sk-secret" not in str(collector.spans)


def test_each_turn_of_an_agent_and_of_those_below_it_is_a_span(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> None:
    with HTTPServer(host="127.0.0.1", threaded=True) as place:
        collector = Collector(place)
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with installation(tmp_path_factory, **variables) as server, server.client() as client:
            client.post("/api/agents", json={"key": "below", "prompt": "x"})
            boss = {"key": "boss", "prompt": "@call below", "model": "mock-script"}
            made = client.post("/api/agents", json={**boss, "tools": [{"type": "agent", "key": "below"}]}).json()
            body = client.post(f"/api/agents/{made['data']['id']}/run", json={}).json()
            spans = collector.wait_for(3)
    assert [span["name"] for span in spans] == ["chat mock-script", "chat mock-1", "chat mock-script"]
    used = [span["gen_ai.usage.output_tokens"] for span in spans if span["name"] == "chat mock-script"]
    assert used == [turn["output_tokens"] for turn in body["turns"]]
