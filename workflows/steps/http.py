"""Call an address over HTTP, through the guard of outgoing addresses: bounded in time and size, no redirect followed.

The scheme, host and port are written out in the workflow: no variable can lead a call elsewhere. A variable in the rest
of the URL is percent-encoded, and can't make a path go up.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from django.conf import settings
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from agents import outbound
from agents.providers import client
from governance.api.parsing import loads
from governance.errors import InvalidInputError, ProviderError
from prompts.rendering import NOT_THERE, VARIABLE, as_text, lookup, variables_of
from workflows.steps.base import (
    Context,
    HttpFailedError,
    Outcome,
    Shape,
    StepFailedError,
    StepSerializer,
    StepTimeoutError,
    StepType,
    on_database,
)
from workflows.steps.fields import AnyValuesField, ChoiceField, HeadersField, TemplateField, WholeField
from workflows.steps.secret import SecretHeadersField, opened, sealed_for, without
from workflows.structure import Step

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_URL = 4000
_URL = re.compile(r"(https?://[^/?#\\{}\s]+)((?:[/?][^\\\s#]*)?)")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_HEADER = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class UrlField(TemplateField):
    """An address whose scheme, host and port are written out; behind them it is a template."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MAX_URL, "allow_blank": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            outbound.check_url(split(url)[0], "url")
        except InvalidInputError as error:
            raise serializers.ValidationError(error.message.removeprefix("url: ")) from None
        return url


class HttpStep(StepSerializer):
    shapes: ClassVar = [Shape(without=("json",)), Shape(without=("body",))]

    method = ChoiceField(METHODS, required=False, default="GET")
    url = UrlField(help_text="Scheme, host and port as they are; in the rest, {{name}} is put in percent-encoded.")
    headers = HeadersField(required=False)
    secret_headers = SecretHeadersField(
        required=False,
        help_text="Headers with secret values: encrypted, never shown, sent to this host only.",
    )
    json = AnyValuesField(required=False, allow_null=True, help_text="Sent as JSON; its strings are templates.")
    body = TemplateField(required=False, help_text="Sent as text.")
    accept_statuses = serializers.ListField(
        child=WholeField(min_value=300, max_value=599),
        required=False,
        max_length=50,
        help_text="Statuses beyond 2xx that are no failure.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "secret_headers" in attrs:
            origin = split(attrs["url"])[0] if "url" in attrs else ""
            attrs["secret_headers"] = sealed_for(origin, attrs["secret_headers"])
        return attrs


def split(url: str) -> tuple[str, str]:
    """Scheme, host and port, and the rest. Raises InvalidInputError for what is no such address."""
    found = _URL.fullmatch(VARIABLE.sub(r"{{\1}}", url))  # white space is allowed in braces alone
    if found is None:
        raise InvalidInputError.of(
            "url", "expected an address such as https://host/path/{{name}}, the host written out"
        )
    return found[1], found[2]


async def run(step: Step, context: Context) -> Outcome:
    origin, rest = split(step["url"])
    path = _filled(rest, context.names)
    headers, content = _headers(step, context, origin), _content(step, context)
    await on_database(client.warm_up)  # brings the HTTP client, which takes a second the first time
    limit: float = settings.PROMPTOPS_PROVIDER_TIMEOUT if step.timeout is None else step.timeout
    started = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            status, kind, retry_after, raw = await _send(origin, path, step["method"], headers, content)
    except TimeoutError:
        raise StepTimeoutError(f"{origin} did not answer within {limit:g} seconds") from None
    if not 200 <= status < 300 and status not in step.fields.get("accept_statuses", ()):
        raise HttpFailedError(f"{origin} answered {status}", retry_after=retry_after)
    latency_ms = round((time.monotonic() - started) * 1000)
    trace = {"status": status, "content_type": kind, "latency_ms": latency_ms}
    said = without(raw, step.fields.get("secret_headers", {}), headers)
    return Outcome(output=_read(origin, kind, said), trace=trace)


async def _send(
    origin: str, path: str, method: str, headers: Mapping[str, str], content: bytes | None
) -> tuple[int, str, int | None, bytes]:
    import httpx2  # comes with openai, which is loaded with the first call

    from agents.providers import transport  # brings httpx2

    try:
        bounded = transport.Bounded(transport.Guarded(await outbound.admit(origin)))
        limit: int = settings.PROMPTOPS_MAX_BODY_BYTES
        caller = httpx2.AsyncClient(transport=bounded, follow_redirects=False, trust_env=False, timeout=None)
        async with caller:
            # What the package would say of itself is left out; a compressed answer could be of any size.
            caller.headers.clear()
            said = {"User-Agent": "PromptOps", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
            sent = {name.encode(): value.encode() for name, value in said.items()}
            async with caller.stream(method, f"{origin}{path or '/'}", headers=sent, content=content) as answer:
                pieces, size = [], 0
                async for piece in answer.aiter_bytes():
                    size += len(piece)
                    if size > limit:
                        raise HttpFailedError(f"{origin} answered with over {limit} bytes")
                    pieces.append(piece)
                after = answer.headers.get("Retry-After", "")
                seconds = int(after) if after.isascii() and after.isdigit() and len(after) < 7 else None
                return answer.status_code, answer.headers.get("Content-Type", ""), seconds, b"".join(pieces)
    except ProviderError as error:
        raise HttpFailedError(f"{origin}: {error.message}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise HttpFailedError(f"{origin} could not be reached: {why}") from None


def _filled(rest: str, names: Mapping[str, Any]) -> str:
    """The path and query, with percent-encoded values. Raises InvalidInputError when one lacks, or would go up."""
    lacking = [name for name in variables_of(rest) if lookup(names, name) is NOT_THERE]
    if lacking:
        said = f"variables: there is no value for {', '.join(lacking)}"
        raise InvalidInputError(said, fields={"variables": lacking})
    path = VARIABLE.sub(lambda match: quote(as_text(lookup(names, match[1])), safe=""), rest)
    if len(path) > 2 * MAX_URL:
        raise InvalidInputError.of("variables", f"with them the URL would have over {2 * MAX_URL} characters")
    if not {".", ".."}.isdisjoint(path.partition("?")[0].split("/")):
        raise InvalidInputError.of("variables", "with them the URL's path would go up")
    return path if path.startswith("/") else f"/{path}"


def _headers(step: Step, context: Context, origin: str) -> dict[str, str]:
    filled, _ = context.fill(dict(step.fields.get("headers", {})))
    headers = {name: as_text(value) for name, value in filled.items()}
    for name, value in headers.items():
        if not _HEADER.fullmatch(value):
            raise InvalidInputError.of("variables", f"with them the header {name} would hold what no header can carry")
    given = {name.lower() for name in headers}
    if "json" in step.fields and "content-type" not in given:
        headers["Content-Type"] = "application/json"
    elif "body" in step.fields and "content-type" not in given:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    if step["method"] != "GET" and "idempotency-key" not in given:
        # The same in each attempt, so that the other side can tell that it has done this already.
        headers["Idempotency-Key"] = f"{context.run.run_id}/{context.path}"
    return {**headers, **opened(origin, step.fields.get("secret_headers", {}))}


def _content(step: Step, context: Context) -> bytes | None:
    if "json" in step.fields:
        return json.dumps(context.fill(step["json"])[0], ensure_ascii=False).encode()
    if "body" in step.fields:
        filled, _ = context.fill({"body": [step["body"], ""]})  # text, whatever it holds
        return as_text(filled["body"][0]).encode()
    return None


def _read(origin: str, kind: str, raw: bytes) -> Any:
    """JSON when the answer says that it is, else text."""
    name = kind.partition(";")[0].strip().lower()
    if raw and (name == "application/json" or name.endswith("+json")):
        try:
            return loads(raw)
        except ParseError as error:
            said = str(error.detail).replace("the body", "it")
            raise StepFailedError(f"{origin} answered with JSON that can't be used: {said}") from None
    return _UNSTORABLE.sub("\ufffd", raw.decode("utf-8", "replace"))


STEP = StepType(
    name="http",
    summary="Call an address. The output is the answer: JSON if it says so, else text.",
    fields=HttpStep,
    run=run,
    gives=("status", "content_type", "latency_ms"),
)
