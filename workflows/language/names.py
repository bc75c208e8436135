"""The rules for names in a definition: what steps, inputs and outputs may be called, and what a reference may name.

What a variable's name in a template may be is the rule of `prompts.content.rendering`; the rules here build on it. The
builder's script has the same rules (static/workflows/references.js); tests/contract/step_ids.json holds the vectors
that both are tested with.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from prompts.content.rendering import NAME
from workflows.language.structure import END

#: What the id of a step and the name of an output look like.
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
#: What the name of an input looks like: a variable's name without dots, since a dot separates the parts of a reference.
INPUT_NAME = "^" + NAME.replace("[^", "[^.", 1) + r"\Z"
#: Names that templates and paths know already, so that no input and no output can have them.
RESERVED = frozenset({"steps", "inputs", "item", "index"})
#: The fields of `steps.<id>` that every step has.
STEP_FIELDS = frozenset({"output", "error", "skipped"})
#: A longer name than this is not used as an id.
MAX_NAME = 200


def step_ids(steps: Sequence[object]) -> list[str]:
    """The id by which each step of one list can be referred to.

    It is the step's `id`; else its `name`, if that is an identifier which no other step of the list has; else
    `step_<n>`, counted from 1, with `_` added until no other step has it.
    """
    ids = [text_of(step, "id") for step in steps]
    names = ["" if own else text_of(step, "name") for step, own in zip(steps, ids, strict=True)]
    taken = set(ids)
    for place, name in enumerate(names):
        usable = re.match(IDENTIFIER, name) is not None and name != END
        if usable and names.count(name) == 1 and name not in taken:
            ids[place] = name
            taken.add(name)
    for place, own in enumerate(ids):
        made = own or f"step_{place + 1}"
        while not own and made in taken:
            made += "_"
        ids[place] = made
        taken.add(made)
    return ids


def text_of(step: object, field: str) -> str:
    """The text in that field of a step that nobody has checked yet; "" if there is none, or one that is too long."""
    value = step.get(field) if isinstance(step, Mapping) else None
    return value if isinstance(value, str) and len(value) <= MAX_NAME else ""


def reference_problem(name: str, *, steps: Mapping[str, Collection[str]], inputs: Collection[str]) -> str | None:
    """What is wrong with a reference by a dotted name, as a sentence; None if nothing is.

    `steps` are those that can be seen, each with the fields that can be asked for; `inputs` are the declared ones.
    Any other name is a variable, which each run brings along.
    """
    root, _, rest = name.partition(".")
    wanted, _, rest = rest.partition(".")
    if root == "inputs" and wanted and wanted not in inputs:
        return f"{name}: there is no input {wanted}{_expected(inputs)}"
    if root != "steps" or not wanted:
        return None
    if wanted not in steps:
        return f"{name}: there is no step {wanted} before this one{_expected(steps)}"
    asked = rest.partition(".")[0]
    if asked and asked not in steps[wanted]:
        return f"{name}: a step gives {', '.join(sorted(steps[wanted]))}"
    return None


def _expected(names: Collection[str]) -> str:
    return f"; expected one of: {', '.join(sorted(names))}" if names else ""
