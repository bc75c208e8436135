"""Which parameters of a config go to the model. Each is sent, refused, or listed as not sent."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from agents.providers.protocol import MODEL_PARAMETERS, Provider
from governance.core.errors import InvalidInputError

_SHOWN = 50


def chosen(config: Mapping[str, Any], *, asked: Iterable[str], provider: Provider) -> tuple[dict[str, Any], list[str]]:
    """What of `config` is sent to the provider, and the names of what is not.

    Raises InvalidInputError for a name in `asked` that no model or not this provider knows.
    """
    problem = unknown(asked)
    refused = next((name for name in asked if name in provider.unsupported), None)
    if problem is None and refused is not None:
        problem = f"{provider.label} does not know {refused}, as an admin has it"
    if problem is not None:
        raise InvalidInputError.of("config", problem)
    sent = {name: value for name, value in config.items() if name in MODEL_PARAMETERS - provider.unsupported}
    return sent, sorted(config.keys() - sent.keys())


def unknown(names: Iterable[str]) -> str | None:
    """What is wrong with the first name that is no parameter of models; None when all are."""
    name = next((name for name in names if name not in MODEL_PARAMETERS), None)
    if name is None:
        return None
    shown = name[:_SHOWN]
    near = get_close_matches(shown, MODEL_PARAMETERS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{shown!r} is no parameter that is sent to models{hint}"
