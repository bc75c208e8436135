"""The content of a text prompt: one text with variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from governance.core.diffs import Diff, side_by_side
from prompts.content import rendering
from prompts.content.digest import canonical, digest_of
from prompts.content.protocol import Content
from prompts.content.rendering import Rendered


@dataclass(frozen=True, slots=True)
class TextContent:
    """One text in which `{{ name }}` stands for the value of a variable. Its members are those of `Content`."""

    text: str

    @property
    def variables(self) -> list[str]:
        return rendering.variables_of(self.text)

    @property
    def search_text(self) -> str:
        return self.text

    def render(self, variables: Mapping[str, Any], *, limit: int | None = None) -> Rendered:
        return rendering.render(self.text, variables, limit=limit)

    def compare(self, older: Content | None) -> Diff:
        return side_by_side(older.text if older is not None else "", self.text)

    def digest(self, *, model: str, config: Mapping[str, Any]) -> str:
        return digest_of(self.text, model, canonical(dict(config)))

    def columns(self) -> dict[str, Any]:
        return {"content": self.text}

    def document(self) -> dict[str, Any]:
        return {"content": self.text}
