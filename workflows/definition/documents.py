"""Workflows as documents: YAML out, YAML in.

YAML 1.2's core schema is what is read, so that `on` is a word and 2026-01-31 a text. Anchors, aliases and tags are
refused, since with them a few lines could stand for gigabytes.
"""

import json
import math
import re
from typing import IO, Any

import yaml
from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from governance.api.parsing import PayloadTooLarge, loads
from workflows.definition import parsing
from workflows.models import DEFINITION_FIELDS, Workflow


def document_of(workflow: Workflow, stored: dict[str, Any]) -> dict[str, Any]:
    """The workflow with one of its definitions, without its secrets; what is empty is left out."""
    shown = parsing.shown(stored)
    parts = {
        "key": workflow.key,
        "name": workflow.name,
        "description": workflow.description,
        **{name: shown[name] for name in DEFINITION_FIELDS},
    }
    return {name: value for name, value in parts.items() if value}


def to_yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


def from_yaml(raw: bytes | str) -> Any:
    """The JSON value that a YAML document stands for. Raises ParseError."""
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
        _check(text)
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  # it makes nothing but what JSON has
        return loads(json.dumps(value, ensure_ascii=False))
    except UnicodeDecodeError:
        raise ParseError("the body is not UTF-8") from None
    except yaml.YAMLError as error:
        raise ParseError(f"the body is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    except (ValueError, RecursionError):
        raise ParseError("the body holds what JSON can't have") from None


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
#: With a zero before it, it is a text: YAML 1.1 and 1.2 differ, and it is no number in JSON.
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else "'" if _FLOAT.match(data) else None  # what YAML 1.1 alone takes for a text
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.text)


#: Names, items and values that a document may have in all: reading so many takes less than a second, and a definition
#: comes to far less. What has more can be sent as JSON.
MAX_NODES = 20_000

#: The parser in C, which is twenty times as fast, where there is one.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Parser):  # type: ignore[misc]  # one of two
    """Reads what JSON has: objects with names, lists, texts, numbers, true, false and null."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        for name, (place, _) in zip(names, node.value, strict=True):
            if not isinstance(name, str):
                raise yaml.constructor.ConstructorError(None, None, "expected a text as a name", place.start_mark)
        seen: set[str] = set()
        for name, (place, _) in zip(names, node.value, strict=True):
            if name in seen:
                problem = f"the name {name[:100]!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, place.start_mark)
            seen.add(name)
        values = [self.construct_object(value, deep=True) for _, value in node.value]
        return dict(zip(names, values, strict=True))


for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)


def _int(loader: _Loader, node: Any) -> int:
    text = loader.construct_scalar(node)
    try:
        return int(text)
    except ValueError:  # Python reads so many digits and no more
        raise _no_number(text, node) from None


def _float(loader: _Loader, node: Any) -> float:
    text = loader.construct_scalar(node)
    number = float(text)
    if math.isinf(number):
        raise _no_number(text, node)
    return number


def _no_number(text: str, node: Any) -> yaml.YAMLError:
    problem = f"the number {text[:20]}{'…' if len(text) > 20 else ''} is out of range"
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _map(loader: _Loader, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _map)


def _check(text: str) -> None:
    """Refuse a document that is larger than it looks, before it is read into objects."""
    depth, deepest = 0, settings.PROMPTOPS_MAX_JSON_DEPTH
    nodes = documents = 0
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ParseError("the body may hold no YAML anchors and aliases")
        if getattr(event, "tag", None):
            raise ParseError("the body may hold no YAML tags")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > deepest:
            raise ParseError(f"the body is nested deeper than {deepest} levels")
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > MAX_NODES:
            raise ParseError(f"the body has more than {MAX_NODES} names and values, which is too much as YAML")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise ParseError("the body holds a second YAML document: expected one")


class YamlParser(BaseParser):
    media_type = "text/yaml"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.PROMPTOPS_MAX_BODY_BYTES
        raw: bytes = stream.read(limit + 1)
        if len(raw) > limit:
            raise PayloadTooLarge
        return from_yaml(raw)


class ApplicationYamlParser(YamlParser):
    media_type = "application/yaml"
