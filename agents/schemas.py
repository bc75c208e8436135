"""JSON Schemas (draft 2020-12) that people write: checked when they are saved, and what models say checked by them.

jsonschema-rs, since a pattern must not be able to hold up the process: it gives up after so many steps.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from governance.errors import InvalidInputError

MAX_BYTES = 32 * 1024
#: Subschemas that one value may have to be held against, references followed: a few that name each other twice can
#: come to billions.
MAX_SUBSCHEMAS = 10_000
_STEPS = 100_000


def check(schema: Mapping[str, Any], *, field: str) -> None:
    """Raise InvalidInputError, of `field`, for what is no JSON Schema that can be used here."""
    text = json.dumps(schema, ensure_ascii=False, sort_keys=True)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidInputError.of(field, f"expected at most {MAX_BYTES} bytes")
    for reference in _references(schema):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise InvalidInputError.of(field, "a $ref must be to a place in the schema itself, such as #/$defs/name")
    try:
        _validator(text)
        weight = _weight(schema, schema, {})
    except (jsonschema_rs.ValidationError, ValueError) as error:
        said = getattr(error, "message", str(error))
        raise InvalidInputError.of(field, f"expected a JSON Schema: {_short(said)}") from None
    except RecursionError:
        weight = MAX_SUBSCHEMAS + 1
    if weight > MAX_SUBSCHEMAS:
        raise InvalidInputError.of(field, "its references come to too many subschemas")


def problem(schema: Mapping[str, Any], value: Any) -> str | None:
    """What is wrong with `value`, in a few sentences; None when it is valid."""
    found = []
    for error in _validator(json.dumps(schema, ensure_ascii=False, sort_keys=True)).iter_errors(value):
        where = "/".join(map(str, error.instance_path))
        found.append(f"{where}: {_short(error.message)}" if where else _short(error.message))
        if len(found) == 5:
            break
    return "; ".join(found) or None


@functools.lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    return jsonschema_rs.Draft202012Validator(
        json.loads(text),
        offline=True,
        validate_formats=False,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS),
    )


def _references(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [reference for item in node for reference in _references(item)]
    if not isinstance(node, dict):
        return []
    here = [node[name] for name in ("$ref", "$dynamicRef") if name in node]
    return here + [reference for value in node.values() for reference in _references(value)]


def _weight(node: Any, root: Any, known: dict[str, int]) -> int:
    """How many subschemas `node` comes to. One that names itself counts once: how deep it goes is up to the value."""
    if isinstance(node, list):
        return sum(_weight(item, root, known) for item in node)
    if not isinstance(node, dict):
        return 0
    total = 1 + sum(_weight(value, root, known) for name, value in node.items() if name not in ("$defs", "definitions"))
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference not in known:
            known[reference] = 1
            known[reference] = _weight(_target(root, reference), root, known)
        total += known[reference]
    return total


def _target(root: Any, reference: str) -> Any:
    node = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}…"
