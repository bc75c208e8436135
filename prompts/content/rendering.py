"""Fills `{{ name }}` in a text. Pure, and linear in the length of the text.

The rules are the contract's, section 3. The SDKs do the same: tests/contract/rendering.json has the vectors for all.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What Unicode calls white space (its property White_Space), written out: languages differ in what `\s` matches.
SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: 1 to 128 of: ASCII letters and digits, `_`, `.`, `-`, and any character beyond ASCII that is no white space. No name
#: has a brace or white space in it, so that no part of a text is read over and over: the cost is linear.
NAME = rf"[^\x00-,/:-@\[-^`{{-\x7f{SPACE}]{{1,128}}"
VARIABLE = re.compile(rf"\{{\{{[{SPACE}]*({NAME})[{SPACE}]*\}}\}}")
#: What `lookup` finds under a name that has no value.
NOT_THERE = object()


class TooLongError(ValueError):
    """The text with the values in it would be over the limit."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """`text` with the values in it; `missing` are the names without a value, each once, in order of appearance;
    `unused` are the names of the variables that the text does not ask for, in their order."""

    text: str
    missing: list[str]
    unused: list[str] = field(default_factory=list)


def variables_of(template: str) -> list[str]:
    """The names that `template` asks for, each once, in order of appearance."""
    return list(dict.fromkeys(VARIABLE.findall(template)))


def render(template: str, variables: Mapping[str, Any], *, limit: int | None = None) -> Rendered:
    """Fill `template` from `variables`.

    A name is looked up as a whole first, then as a path into objects. Strings go in as they are, anything else as JSON.
    What has no value stays as it is written. Values are never rendered again. Raises TooLongError as soon as the values
    alone have more than `limit` characters: a long value in a text that names it often makes gigabytes.
    """
    missing: dict[str, None] = {}
    asked: set[str] = set()
    texts: dict[str, str] = {}  # a value is written out once, however often the text names it
    filled = 0

    def fill(match: re.Match[str]) -> str:
        nonlocal filled
        name = match[1]
        if name in missing:
            return match[0]
        text = texts.get(name)
        if text is None:
            asked.add(name if name in variables else name.partition(".")[0])
            value = lookup(variables, name)
            if value is NOT_THERE:
                missing[name] = None
                return match[0]
            text = texts[name] = as_text(value)
        filled += len(text)
        if limit is not None and filled > limit:
            raise TooLongError
        return text

    text = VARIABLE.sub(fill, template)
    return Rendered(text, list(missing), [name for name in variables if name not in asked])


def lookup(variables: Mapping[str, Any], name: str) -> Any:
    """The value of a name, looked up as a whole first, then as a path into objects; NOT_THERE when it has none."""
    if name in variables:
        return variables[name]
    value: Any = variables
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return NOT_THERE
        value = value[part]
    return value


def as_text(value: object) -> str:
    """A string as it is, anything else as JSON without white space between its tokens, as most languages write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
