"""The one registry: what an app brings to the rooms below it, which don't know that app.

A room that can be extended declares what it takes as a subclass of `Entry`, beside the code that reads it. Each app
registers its entries in one call, in its `AppConfig.ready`, and the room reads those of its kind with `entries`. So
both sides are typed, and the import law holds: the app imports the room, never the other way round.

`tests/governance/core/test_registry.py` lists every kind of entry and what is registered of it.
"""

from typing import Any, TypeVar, cast


class Entry:
    """Base of everything that can be registered. A subclass is a frozen dataclass whose fields are what is offered."""

    __slots__ = ()


E = TypeVar("E", bound=Entry)

_entries: dict[type[Entry], tuple[Any, ...]] = {}


def register(*new: Entry) -> None:
    """Add entries, to be read in the order in which they were added. Called once by each app, when it starts."""
    for entry in new:
        kind = type(entry)
        _entries[kind] = (*_entries.get(kind, ()), entry)


def entries(kind: type[E]) -> tuple[E, ...]:
    """Every entry of that kind, those of the lower apps first."""
    return cast(tuple[E, ...], _entries.get(kind, ()))


def only(kind: type[E]) -> E:
    """The entry of a kind that exactly one app registers. Raises LookupError when there is none, or several."""
    found = entries(kind)
    if len(found) != 1:
        raise LookupError(f"expected one {kind.__name__} in the registry, found {len(found)}")
    return found[0]
