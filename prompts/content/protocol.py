"""What the rest of the application may ask of a prompt's content, whatever kind it is."""

from collections.abc import Mapping
from typing import Any, Protocol

from governance.core.diffs import Diff
from prompts.content.rendering import Rendered


class Content(Protocol):
    """The content of a draft or of a version: an immutable value. `prompts.content.stored` makes it from a row.

    A new kind of content is a class with these members. Columns and documents of content are read in two other places,
    which know the text alone: the fetch view (`prompts/delivery/views.py`) and the workflows' `prompt` step.
    """

    @property
    def text(self) -> str:
        """The content as one text, for people and for clients that know no other form."""

    @property
    def variables(self) -> list[str]:
        """The names of the variables that it asks for, each once, in order of appearance."""

    @property
    def search_text(self) -> str:
        """The text that a search looks through, not folded."""

    def render(self, variables: Mapping[str, Any], *, limit: int | None = None) -> Rendered:
        """The content with `variables` filled in. Raises TooLongError when they have over `limit` characters."""

    def compare(self, older: "Content | None") -> Diff:
        """The differences from an older content to this one; None stands for an empty one."""

    def digest(self, *, model: str, config: Mapping[str, Any]) -> str:
        """The SHA-256 (hex) by which two states of a prompt are the same: equal content, model and config."""

    def columns(self) -> dict[str, Any]:
        """What the row of a draft or of a version stores: a value for each of `prompts.content.stored.COLUMNS`."""

    def document(self) -> dict[str, Any]:
        """The fields of the document that applications are served, between `model` and `config`."""
