"""The home page's panels. Each app registers its own; promptops puts the page together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from governance.access.actors import Actor
from governance.access.permissions import may
from governance.core import registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel(registry.Entry):
    """A box of the home page. `facts` gets what its template shows, scoped, in a fixed number of queries.

    `place` orders panels, the smallest first; `wide` takes a whole row. Who lacks `capability` doesn't get it.
    """

    title: str
    template: str
    facts: Callable[[Actor], dict[str, Any]]
    capability: str
    place: int
    wide: bool = False


def panels_for(actor: Actor) -> list[dict[str, Any]]:
    """Each panel that `actor` may see, with its facts."""
    allowed = [panel for panel in registry.entries(Panel) if may(actor, panel.capability)]
    return [{"panel": panel, **panel.facts(actor)} for panel in sorted(allowed, key=lambda panel: panel.place)]
