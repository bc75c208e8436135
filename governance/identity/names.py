"""Reserved names: a user or token that had one would look like another actor in the audit log."""

import re
import unicodedata

from governance.core.errors import InvalidInputError

#: Names of the product's own actors in the audit log, and names that look like one of them.
RESERVED = {
    *("system", "static", "static token", "promptops", "promptops token", "anonymous", "nobody"),
    *("guard", "schedule", "scheduler", "webhook", "worker", "engine"),
}

#: What API tokens are called in the log begins with it.
TOKEN_PREFIX = "token "  # noqa: S105  # a word, no secret

_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs"}

_ACCENTS = {"Mn", "Me"}

_SEPARATORS = re.compile(r"[\s._-]+")


def folded(name: str) -> str:
    """`name` without what is hard to see: case, width, unseen characters, kinds of white space."""
    for _ in range(2):  # a letter's other case may be composed anew
        name = _without(_UNSEEN, unicodedata.normalize("NFKC", name)).casefold()
    return " ".join(name.split())


def is_reserved(name: str) -> bool:
    """Whether `name`, given to a user or a token, would look like another kind of actor."""
    plain = _without(_ACCENTS, unicodedata.normalize("NFKD", folded(name)))
    return _SEPARATORS.sub(" ", plain).strip() in RESERVED or plain.startswith(TOKEN_PREFIX)


def refuse_reserved(name: str, *, field: str) -> None:
    """Raises InvalidInputError, of `field`, for a name that would look like another kind of actor."""
    if is_reserved(name):
        raise InvalidInputError.of(field, "this name stands for the system itself in the audit log: take another")


def _without(categories: set[str], text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character) not in categories)
