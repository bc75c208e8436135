"""The OpenAPI schema says what the code does: envelopes, errors and conditional headers included."""

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from governance.api.serializers import ErrorSerializer
from governance.models import Role
from governance.permissions import LEAST_ROLE

Direction = Literal["request", "response"]
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}


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
            name = "If-None-Match" if self.method == "GET" else "If-Match"
            if self.method in {"GET", "PUT", "PATCH", "DELETE"}:
                parameters.append(OpenApiParameter(name, str, OpenApiParameter.HEADER, description="An entity tag."))
        return parameters

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        self._wrap(responses)
        for code in self._error_codes():
            error = self._get_response_for_code(ErrorSerializer, str(code))  # type: ignore[no-untyped-call]
            responses.setdefault(str(code), error)
        if self._is_entity() and self.method == "GET":
            responses["304"] = {"description": "Not modified since that entity tag."}
        return dict(sorted(responses.items()))

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
                content["schema"] = {
                    "type": "object",
                    "required": ["data"],
                    "properties": {"data": content["schema"]},
                }

    def _error_codes(self) -> list[int]:
        codes = [400, 503]
        capability = self._capability()
        if capability is not None:
            codes.append(401)
            if LEAST_ROLE[capability] is not Role.VIEWER:
                codes.append(403)
        if "{" in self.path:
            codes.append(404)
        if self.method in _WRITES:
            codes += [409, 412, 413, 415] if capability is not None else [413, 415, 429]
        return codes

    def _capability(self) -> str | None:
        find = getattr(self.view, "capability", None)
        return find() if find is not None and self.get_auth() else None

    def _is_entity(self) -> bool:
        """Whether the operation is on one row that carries an entity tag."""
        from governance.models import Entity  # schema generation only

        queryset = getattr(self.view, "queryset", None)
        action = getattr(self.view, "action", "")
        actions = {"retrieve", "update", "partial_update", "destroy"}
        return queryset is not None and issubclass(queryset.model, Entity) and action in actions
