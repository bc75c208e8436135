"""From the columns of a row, or the fields of a document, to the content."""

from collections.abc import Mapping
from typing import Any, Protocol

from prompts.content.protocol import Content
from prompts.content.text import TextContent

#: The columns of a draft and of a version that store its content.
COLUMNS = ("content",)


class Row(Protocol):
    """A draft or a version."""

    @property
    def content(self) -> str: ...


def of_row(row: Row) -> Content:
    """The content of a draft or of a version."""
    return TextContent(row.content)


def of_document(document: Mapping[str, Any]) -> Content:
    """The content of a document, as `prompts.documents` makes it."""
    return TextContent(document["content"])
