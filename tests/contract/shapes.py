"""The fields of each endpoint's body, and values that they can't have, read from the schema."""

from dataclasses import dataclass
from typing import Any

import jsonschema
from drf_spectacular.generators import SchemaGenerator

from tests.contract.endpoints import WITH_BODY, Endpoint

#: One of each JSON type; what a field takes of them is left out.
CANDIDATES: list[Any] = [None, True, 5, -1, 1.5, 10**400, "", "text", [], [5], ["text"], [None], {}, {"a": 1}]


@dataclass(frozen=True, kw_only=True)
class Field:
    endpoint: Endpoint
    name: str
    wrong_values: list[Any]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.name}"


def _fields() -> list[Field]:
    published = SchemaGenerator().get_schema(request=None, public=True)
    fields = []
    for endpoint in WITH_BODY:
        operation = published["paths"][endpoint.route][endpoint.method.lower()]
        shape = _resolve(operation["requestBody"]["content"]["application/json"]["schema"], published, endpoint)
        for name, field in shape["properties"].items():
            if not field.get("readOnly"):
                fields.append(Field(endpoint=endpoint, name=name, wrong_values=_wrong(field, published)))
    return fields


def _resolve(shape: dict[str, Any], published: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The object's schema behind references; of several that one which the endpoint's own body has."""
    if "oneOf" in shape:
        shapes = [_resolve(one, published, endpoint) for one in shape["oneOf"]]
        return next(one for one in shapes if (endpoint.body or {}).keys() <= one["properties"].keys())
    if "$ref" in shape:
        found: dict[str, Any] = published["components"]["schemas"][shape["$ref"].rpartition("/")[2]]
        return _resolve(found, published, endpoint)
    return shape


def _wrong(field: dict[str, Any], published: dict[str, Any]) -> list[Any]:
    """Those of the candidates that the schema refuses, and a text that is too long."""
    long = ["a" * (field["maxLength"] + 1)] if "maxLength" in field else []
    checker = jsonschema.Draft4Validator({**_without_nullable(field), "components": published["components"]})
    return [value for value in [*CANDIDATES, *long] if not checker.is_valid(value)]


def _without_nullable(field: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 has a word of its own for null."""
    return {"anyOf": [field, {"type": "null"}]} if field.get("nullable") else field


FIELDS = _fields()
