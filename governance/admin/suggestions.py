"""Words that a form suggests for a field: keys and names of what the user may see."""

from typing import Any

from django.db.models import QuerySet

from governance.access.actors import Actor
from governance.access.visibility import visible_to

#: So many words are suggested; one that is not among them can be typed all the same.
MAX_WORDS = 300


def words(actor: Actor, rows: QuerySet[Any], name: str, workspace_id: str | None) -> list[str]:
    """What the field `name` of those rows has that `actor` may see, each once; of one workspace, or of all."""
    model: Any = rows.model
    if workspace_id is not None:
        rows = rows.filter(**{model.workspace_path: workspace_id})
    return list(visible_to(actor, rows).order_by(name).values_list(name, flat=True).distinct()[:MAX_WORDS])
