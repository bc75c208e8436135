"""The pinned versions of one environment. Pure: no I/O.

A version never changes while its prompt lives. When a prompt is deleted, another one may get its key and its labels.
"""

from collections.abc import Mapping
from typing import Any

from promptops_client._models import Prompt

Pin = tuple[str, str]  # the prompt's key and the version's label


class Pins:
    """Prompts by key and label. One writer, any number of readers without a lock.

    deletions: how many prompts were deleted so far. A version whose fetch began before a deletion is not kept.
    doubtful: whether a prompt may have been deleted and made anew unnoticed, so that each pin has to be fetched again.
    """

    def __init__(self, prompts: Mapping[Pin, Prompt] | None = None) -> None:
        self._prompts: dict[Pin, Prompt] = dict(prompts or {})
        self.deletions = 0
        self.doubtful = False

    def __contains__(self, pin: Pin) -> bool:
        return pin in self._prompts

    def get(self, pin: Pin) -> Prompt | None:
        return self._prompts.get(pin)

    def all(self) -> list[Pin]:
        return list(self._prompts.copy())

    def set(self, pin: Pin, prompt: Prompt) -> None:
        self._prompts[pin] = prompt

    def drop(self, pin: Pin) -> None:
        self._prompts.pop(pin, None)

    def forget(self, key: str) -> None:
        """A prompt was deleted, and its versions with it."""
        self.deletions += 1
        for pin in self.all():
            if pin[0] == key:
                self.drop(pin)

    def doubt(self) -> None:
        """A whole state came: between the one before it and this one, anything may have happened."""
        self.doubtful = bool(self._prompts)

    def documents(self) -> list[dict[str, Any]]:
        return [prompt.document() for prompt in self._prompts.copy().values()]

    @classmethod
    def of_documents(cls, documents: list[Mapping[str, Any]]) -> "Pins":
        """Raises KeyError, TypeError, ValueError for what `documents` did not make."""
        return cls({(document["key"], document["version"]): Prompt.of(document) for document in documents})
