"""Call an address over HTTP, through the guard of outgoing addresses: bounded in time and size, no redirect followed.

The scheme, host and port are written out in the workflow: no variable can lead a call elsewhere. A variable in the rest
of the URL is percent-encoded, and can't make a path go up.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from django.conf import settings
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from agents.transport import calls, outbound
from governance.api.parsing import loads
from governance.core.errors import InvalidInputError
from prompts.content.rendering import VARIABLE, as_text, lookup
from workflows.language.structure import Step
from workflows.steps.base import (
    Context,
    HttpFailedError,
    Outcome,
    Shape,
    StepFailedError,
    StepSerializer,
    StepTimeoutError,
    StepType,
    no_value_for,
    on_database,
)
from workflows.steps.fields.headers import HeadersField
from workflows.steps.fields.plain import ChoiceField, WholeField
from workflows.steps.fields.references import AnyValuesField, TemplateField
from workflows.steps.fields.secret import SecretHeadersField

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_URL = 4000
_URL = re.compile(r"(https?://[^/?#\\{}\s]+)((?:[/?][^\\\s#]*)?)")
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
    destination_noun = "host"

    method = ChoiceField(METHODS, required=False, default="GET")
    url = UrlField(
        style={"title": "URL"},
        help_text="Scheme, host and port as they are; in the rest, {{name}} is put in percent-encoded.",
    )
    headers = HeadersField(required=False)
    secret_headers = SecretHeadersField(
        required=False,
        help_text="Headers with secret values: encrypted, never shown, sent to this host only.",
    )
    json = AnyValuesField(
        style={"title": "JSON body"},
        required=False,
        allow_null=True,
        help_text="Sent as JSON; its strings are templates.",
    )
    body = TemplateField(required=False, help_text="Sent as text.")
    accept_statuses = serializers.ListField(
        child=WholeField(min_value=300, max_value=599),
        required=False,
        max_length=50,
        help_text="Statuses beyond 2xx that are no failure.",
    )

    def destination(self, attrs: Mapping[str, Any]) -> str:
        return split(attrs["url"])[0]


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
    path = _filled(rest, context)
    headers, content = _headers(step, context), _content(step, context)
    stored = step.fields.get("secret_headers", {})
    secrets = {name: context.reveal(name, secret, destination=origin) for name, secret in stored.items()}
    await on_database(calls.warm_up)  # brings the HTTP client, which takes a second the first time
    seconds: float = settings.PROMPTOPS_PROVIDER_TIMEOUT if step.timeout is None else step.timeout
    started = time.monotonic()
    try:
        answer = await calls.call(
            step["method"],
            f"{origin}{path}",
            headers=headers,
            secrets=secrets,
            content=content,
            seconds=seconds,
            limit=settings.PROMPTOPS_MAX_BODY_BYTES,
        )
    except TimeoutError:
        raise StepTimeoutError(f"{origin} did not answer within {seconds:g} seconds") from None
    except calls.UnansweredError as error:
        raise HttpFailedError(f"{origin}: {error.message}") from None
    if not 200 <= answer.status < 300 and answer.status not in step.fields.get("accept_statuses", ()):
        raise HttpFailedError(f"{origin} answered {answer.status}", retry_after=answer.retry_after)
    latency_ms = round((time.monotonic() - started) * 1000)
    trace = {"status": answer.status, "content_type": answer.content_type, "latency_ms": latency_ms}
    return Outcome(output=_read(origin, answer), trace=trace)


def _filled(rest: str, context: Context) -> str:
    """The path and query with percent-encoded values. Raises InvalidInputError when the path would contain `..`."""
    _fill(context, {"url": rest})  # raises for a missing or too large value before it is made a text
    path = VARIABLE.sub(lambda match: quote(as_text(lookup(context.names, match[1])), safe=""), rest)
    if len(path) > 2 * MAX_URL:
        raise InvalidInputError.of("variables", f"with them the URL would have over {2 * MAX_URL} characters")
    if not {".", ".."}.isdisjoint(path.partition("?")[0].split("/")):
        raise InvalidInputError.of("variables", "with them the URL's path would go up")
    return path if path.startswith("/") else f"/{path}"


def _fill(context: Context, value: Any) -> Any:
    """`value` with its templates filled. Raises InvalidInputError when a name has no value, also in a run that is not
    strict: nothing is sent elsewhere with a name in braces in it."""
    filled, missing = context.fill(value)
    if missing:
        raise no_value_for(missing)
    return filled


def _headers(step: Step, context: Context) -> dict[str, str]:
    filled = _fill(context, dict(step.fields.get("headers", {})))
    headers = {name: as_text(value) for name, value in filled.items()}
    for name, value in headers.items():
        if not _HEADER.fullmatch(value):
            raise InvalidInputError.of("variables", f"with them the header {name} would hold what no header can carry")
    present = {name.lower() for name in (*headers, *step.fields.get("secret_headers", {}))}
    if "json" in step.fields and "content-type" not in present:
        headers["Content-Type"] = "application/json"
    elif "body" in step.fields and "content-type" not in present:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    if step["method"] != "GET" and "idempotency-key" not in present:
        # The same in each attempt, so that the receiver can recognise a repetition.
        headers["Idempotency-Key"] = f"{context.run.run_id}/{context.path}"
    return headers


def _content(step: Step, context: Context) -> bytes | None:
    if "json" in step.fields:
        return json.dumps(_fill(context, step["json"]), ensure_ascii=False).encode("utf-8", "replace")
    if "body" in step.fields:
        filled = _fill(context, {"body": step["body"]})
        return as_text(filled["body"]).encode("utf-8", "replace")
    return None


def _read(origin: str, answer: calls.Answer) -> Any:
    """The answer's JSON if its content type is JSON, else its text, decoded by the charset that it names."""
    if not answer.raw or not answer.says_json:
        return answer.text
    try:
        return loads(answer.exact_text)
    except (ParseError, calls.UnansweredError) as error:
        problem = error.message if isinstance(error, calls.UnansweredError) else str(error.detail)
        problem = problem.replace("the body", "it")
        raise StepFailedError(f"{origin} answered with JSON that can't be used: {problem}") from None


STEP = StepType(
    name="http",
    summary="Call an address. The output is the answer: JSON if it says so, else text.",
    fields=HttpStep,
    run=run,
    trace_fields=("status", "content_type", "latency_ms"),
)
