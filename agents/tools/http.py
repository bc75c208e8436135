"""An HTTP endpoint as a tool, called through the guard of outgoing addresses (agents.transport.outbound).

The values of its headers may be secrets: they are stored encrypted, shown as a hint, and sent to one origin (scheme,
host and port) only. Arguments that the address names in braces go into its path; the others into the query, or into the
JSON body of a method that has one.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from django.conf import settings
from rest_framework import serializers

from agents.runtime import schemas
from agents.runtime.toolbox import (
    NAME_PATTERN,
    Caller,
    Description,
    Returned,
    Tool,
    ToolFailedError,
    ToolKind,
    ToolSerializer,
)
from agents.transport import bridge, calls, headers, outbound
from agents.transport.outbound import check_url
from governance.access.actors import Actor
from governance.api.fields import ObjectField, PatternField, StringField
from governance.core import stored_secrets
from governance.core.db import briefly
from governance.core.errors import DomainError, InvalidInputError
from governance.runs import log
from governance.runs.log import OpenRun
from prompts.content.rendering import as_text

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
WITHOUT_BODY = {"GET", "DELETE"}
MAX_HEADERS = 20
#: Seconds for all of one request.
TIMEOUT = 30.0
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_-]+)\}")
#: Headers that say how a request is sent. A tool can't set them.
_RESERVED = headers.SET_BY_SERVER | {"content-type"}
MAX_NAME, MAX_VALUE = 100, 2000


class HeadersField(serializers.JSONField):
    """Names and values of headers. A value is shown as a hint; when the hint is sent back, the stored value stays."""

    widget = "pairs"

    default_error_messages = {"invalid": "expected a JSON object of names and texts"}

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "string"}}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(data) > MAX_HEADERS:
            raise serializers.ValidationError(f"expected at most {MAX_HEADERS} headers")
        for name, value in data.items():
            if not headers.is_name(name, max_length=MAX_NAME) or name.lower() in _RESERVED:
                raise serializers.ValidationError(f"{name[:100]}: a tool can't have this header")
            if not isinstance(value, str) or not (
                value.startswith(stored_secrets.MASK) or headers.is_secret_value(value, max_length=MAX_VALUE)
            ):
                raise serializers.ValidationError(f"{name}: expected up to 2000 ASCII characters")
        return data


class HttpTool(ToolSerializer):
    name = PatternField(NAME_PATTERN, expected="letters, digits, _ and - (first a letter or _), at most 64")
    method = serializers.ChoiceField(
        METHODS, default="GET", error_messages={"invalid_choice": f"expected one of: {', '.join(METHODS)}"}
    )
    url = StringField(
        max_length=1000, style={"title": "URL"}, help_text="https; `{name}` in its path is filled with that argument."
    )
    headers = HeadersField(required=False, help_text="Stored encrypted, and shown as hints.")
    parameters = ObjectField(
        required=False, style={"widget": "schema"}, help_text="The JSON Schema of the arguments, an object."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        parameters = attrs.get("parameters", {})
        address, _, _ = attrs["url"].partition("?")
        origin = "/".join(address.split("/")[:3])
        try:
            schemas.check(parameters, field="parameters")
            check_url(_PLACEHOLDER.sub("x", address), field="url")
            if "{" in origin or "}" in origin:
                raise InvalidInputError.of("url", "only the path can have an argument in it")
        except InvalidInputError as error:
            raise serializers.ValidationError(dict(error.fields or {})) from None
        if parameters.get("type", "object") != "object":
            raise serializers.ValidationError({"parameters": ["expected a schema of an object"]})
        for name in _PLACEHOLDER.findall(address):
            if name not in parameters.get("required", []):
                raise serializers.ValidationError({"parameters": [f"{name} is in the url, so it has to be required"]})
        return {**attrs, "parameters": {"type": "object", **parameters}}


def to_store(sent: Description, stored: Description | None) -> dict[str, Any]:
    """The description with its headers encrypted. A hint stands for the stored value while the origin is the same."""
    former: Mapping[str, Any] = stored["headers"] if stored else {}
    same_origin = stored is not None and _origin(stored) == _origin(sent)
    secrets: dict[str, Any] = {}
    for name, value in sent.get("headers", {}).items():
        if not value.startswith(stored_secrets.MASK):
            secrets[name] = stored_secrets.store(value)
        elif name in former and former[name]["hint"] == value and same_origin:
            secrets[name] = former[name]
        else:
            why = "the address changes" if name in former and not same_origin else "nothing is stored"
            raise InvalidInputError.of("tools", f"{sent['name']}: {why}: give the header {name} again")
    return {**sent, "headers": secrets}


def to_show(stored: Description) -> dict[str, Any]:
    return {**stored, "headers": {name: value["hint"] for name, value in stored["headers"].items()}}


def find(description: Description, actor: Actor, workspace_id: str, environment: str) -> Tool:
    async def run(arguments: Mapping[str, Any], caller: Caller) -> Returned:
        opened: OpenRun = await bridge.on_caller(briefly, _open, description, caller)
        try:
            status, text = await _answer(description, arguments)
        except BaseException as error:
            reason = f"internal error: {type(error).__name__}"
            if isinstance(error, DomainError):
                reason = error.message
                error.extra["run_id"] = str(opened.id)
            elif isinstance(error, asyncio.CancelledError):
                reason = "it was stopped before the end"
            await asyncio.shield(_closed(opened, arguments, reason, None))
            raise
        failed = f"it answered {status}" if status >= 400 else None
        await _closed(opened, arguments, failed, text)
        if failed:
            raise ToolFailedError(f"{failed}: {text[:2000]}", extra={"run_id": str(opened.id)})
        return Returned(output=text, run_id=opened.id)

    return Tool(
        kind="http",
        name=description["name"],
        description=description.get("description", ""),
        parameters=description["parameters"],
        run=run,
    )


async def _answer(description: Description, arguments: Mapping[str, Any]) -> tuple[int, str]:
    """Status and text of the answer. Raises ToolFailedError when there is none."""
    method = description["method"]
    address, query, rest = _filled(description["url"], arguments)
    own_headers, content = {}, None
    if method in WITHOUT_BODY:
        query += _query(rest)
    else:
        own_headers["Content-Type"] = "application/json"
        content = as_text(rest).encode("utf-8", "replace")
    try:
        answer = await calls.call(
            method,
            f"{address}?{urlencode(query)}" if query else address,
            headers=own_headers,
            secrets={name: _decrypted(name, value) for name, value in description["headers"].items()},
            content=content,
            seconds=TIMEOUT,
            limit=settings.PROMPTOPS_MAX_ANSWER_BYTES,
        )
    except TimeoutError:
        raise ToolFailedError(f"it did not answer within {TIMEOUT:g} seconds") from None
    except calls.UnansweredError as error:
        raise ToolFailedError(error.message) from None
    return answer.status, answer.text


def _filled(url: str, arguments: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], dict[str, Any]]:
    """The address with its arguments filled in, the query that it has itself, and the arguments that are left."""
    address, _, own = url.partition("?")
    rest = dict(arguments)

    def fill(match: re.Match[str]) -> str:
        value = as_text(arguments[match[1]])
        rest.pop(match[1], None)
        if value in {"", ".", ".."}:
            raise ToolFailedError(f"{match[1]}: {value!r} can't be a part of a path")
        return quote(value, safe="")

    return _PLACEHOLDER.sub(fill, address), parse_qsl(own, keep_blank_values=True), rest


def _query(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, value in arguments.items():
        pairs += [(name, as_text(item)) for item in (value if isinstance(value, list) else [value])]
    return pairs


def _decrypted(name: str, value: Mapping[str, str]) -> str:
    try:
        return stored_secrets.reveal(value)
    except stored_secrets.UnreadableError:
        raise ToolFailedError(
            f"the stored header {name} can't be read: SECRET_KEY was changed; store it again"
        ) from None


def _open(description: Description, caller: Caller) -> OpenRun:
    return log.start(
        actor=caller.actor,
        source="tool",
        workspace_id=caller.workspace_id,
        ref_key=description["name"],
        parent_id=caller.run_id,
        environment=caller.environment,
    )


async def _closed(opened: OpenRun, arguments: Mapping[str, Any], error: str | None, output: str | None) -> None:
    def close() -> None:
        prompt = as_text(dict(arguments))
        if error is not None:
            log.fail(opened, error, prompt=prompt, output=output)
        else:
            log.finish(opened, provider="", model="", prompt=prompt, output=output)

    opened.stop()
    await bridge.to_the_end(close)


def _origin(description: Description) -> str:
    """Scheme, host and port: where the secrets in the headers may go."""
    place = outbound.parse(_PLACEHOLDER.sub("x", description["url"].partition("?")[0]), "url")
    return f"{place.scheme}://{place}"


KIND = ToolKind(
    name="http",
    fields=HttpTool,
    find=find,
    to_store=to_store,
    to_show=to_show,
    summary="An address that answers to HTTP requests.",
)
