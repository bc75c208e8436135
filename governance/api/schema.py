"""The OpenAPI schema says what the code does: envelopes, errors and conditional headers included."""

import copy
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, is_patched_serializer, is_serializer
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer

from governance.access.permissions import LEAST_ROLE
from governance.access.roles import Role
from governance.api.serializers import ApiSerializer, ErrorSerializer, OkSerializer
from governance.core.models import Versioned

Direction = Literal["request", "response"]
_WITH_BODY = {"POST", "PUT", "PATCH"}

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The entity tag of what you read.")
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The entity tag of what you have."
)


class ApiSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/").partition("/")[0].partition("?")[0] or "api"]

    def get_operation_id(self) -> str:
        parts = [part for part in self.path.removeprefix("/api/").split("/") if part and not part.startswith("{")]
        suffix = "_one" if self.path.endswith("}") else ""
        return "_".join([*(part.replace("-", "_") for part in parts), self.method.lower()]) + suffix

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self._is_entity():
            parameters.append(IF_NONE_MATCH if self.method == "GET" else IF_MATCH)
        return parameters

    # --- what comes in ---

    def _get_filter_parameters(self) -> Any:
        parameters = super()._get_filter_parameters()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            if parameter["schema"].get("type") == "array":
                parameter["schema"]["minItems"] = 1
        return parameters

    def _get_request_for_media_type(self, serializer: Any, direction: Direction = "request") -> Any:
        if self.method == "PUT" and is_serializer(serializer):
            serializer = copy.copy(force_instance(serializer))  # type: ignore[no-untyped-call]
            serializer.partial = True  # PUT changes what is sent, as PATCH does
        schema, required = super()._get_request_for_media_type(serializer, direction)  # type: ignore[no-untyped-call]
        return schema, required or isinstance(serializer, PolymorphicProxySerializer)

    def _map_basic_serializer(self, serializer: Any, direction: Direction) -> Any:
        serializer = force_instance(serializer)  # type: ignore[no-untyped-call]
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if type(serializer).__doc__ is None:
            schema.pop("description", None)  # it is a base class's, which speaks to programmers
        if not isinstance(serializer, ApiSerializer):
            return schema
        properties = schema.setdefault("properties", {})
        if direction == "response":
            if serializer.wrapped:
                schema["required"] = sorted(properties)  # an object is answered as a whole
            return schema
        schema["additionalProperties"] = False
        for name, field in serializer.fields.items():
            if field.read_only:
                properties[name] = {"readOnly": True, "description": "Ignored, so that what was fetched can be sent."}
        if is_patched_serializer(serializer, direction):
            for described in properties.values():
                described.pop("default", None)  # what is not sent stays as it is
        return schema

    def _map_serializer_field(self, field: Any, direction: Direction, bypass_extensions: bool = False) -> Any:
        describe = getattr(field, "openapi", None)  # a field that comes in otherwise than it goes out
        if describe is None:
            return super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        return {**describe(self, direction), **({"description": str(field.help_text)} if field.help_text else {})}

    # --- what goes out ---

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        if "204" in responses:
            del responses["204"]
            responses["200"] = self._response(OkSerializer, "200")
        else:
            self._wrap(responses)
        for code in self._error_codes():
            responses.setdefault(str(code), self._response(ErrorSerializer, str(code)))
        if self._is_entity() and self.method == "GET":
            responses["304"] = {"description": "Not modified since that entity tag."}
        return dict(sorted(responses.items()))

    def _response(self, serializer: type[Any], code: str) -> dict[str, Any]:
        response: dict[str, Any] = self._get_response_for_code(serializer, code)  # type: ignore[no-untyped-call]
        return response

    def _wrap(self, responses: dict[str, Any]) -> None:
        if self._is_list_view():
            return  # the pagination did it
        given = self.get_response_serializers()
        if isinstance(given, dict):
            given = given.get(200) or given.get(201) or next(iter(given.values()), None)
        if not getattr(given, "wrapped", False):
            return
        for code in ("200", "201"):
            for content in responses.get(code, {}).get("content", {}).values():
                data = content["schema"]
                if getattr(given, "allow_null", False):
                    data = {"allOf": [data], "nullable": True}
                content["schema"] = {"type": "object", "required": ["data"], "properties": {"data": data}}

    def _error_codes(self) -> set[int]:
        """The statuses of errors that any operation of this kind may answer; a view adds its own."""
        codes = {400, 503}
        capability = self._capability()
        if capability is not None:
            codes |= {401, 429}  # 429 after too many wrong tokens
            if LEAST_ROLE[capability] is not Role.VIEWER:
                codes.add(403)
            if capability.rpartition(".")[2] not in {"read", "run"} and not capability.startswith("session."):
                codes.add(409)
        if "{" in self.path:
            codes.add(404)
        if self.method in _WITH_BODY:
            codes |= {413, 415}
        if any(parameter.name == IF_MATCH.name for parameter in self.get_override_parameters()):
            codes.add(412)
        return codes

    def _capability(self) -> str | None:
        find = getattr(self.view, "capability", None)
        return find() if find is not None and self.get_auth() else None

    def _is_entity(self) -> bool:
        """Whether the operation is on one row that carries an entity tag."""
        queryset = getattr(self.view, "queryset", None)
        action = getattr(self.view, "action", "")
        actions = {"retrieve", "update", "partial_update", "destroy"}
        return queryset is not None and issubclass(queryset.model, Versioned) and action in actions
