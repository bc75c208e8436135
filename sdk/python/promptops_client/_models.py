"""What the client hands out. All of it is immutable and may be shared between threads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, final

from promptops_client._errors import MissingVariables
from promptops_client._rendering import Rendered, template_of

Variant = Literal["A", "B"]
State = Literal[
    "starting",  # the first fetch is under way
    "streaming",  # changes arrive as they happen
    "polling",  # the stream is down; the server answers fetches
    "offline",  # the server can't be reached; what is known is served
    "unauthorized",  # the credential is refused: stopped; what is known is served
    "forbidden",  # may not look there: stopped; what is known is served
    "not_found",  # no such environment: stopped; what is known is served
    "closed",  # close() was called; what is known is served
]


@final
@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it is served: `content` is the template, `version` its label, `variant` a rollout's pick."""

    key: str
    version: str
    env: str
    model: str
    content: str
    config_json: str = "{}"
    variant: Variant | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any], variant: Variant | None = None) -> Self:
        """Of a document as the server sends it. Raises KeyError or TypeError for anything else."""
        texts = [document[name] for name in ("key", "version", "env", "model", "content")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(document["config"], dict):
            raise TypeError("a document has texts and a config")
        return cls(
            key=document["key"],
            version=document["version"],
            env=document["env"],
            model=document["model"],
            content=document["content"],
            config_json=json.dumps(document["config"], ensure_ascii=False, separators=(",", ":")),
            variant=variant or document.get("variant"),
        )

    @property
    def config(self) -> dict[str, Any]:
        """Model settings (temperature, max_tokens, ...); a copy of your own."""
        config: dict[str, Any] = json.loads(self.config_json)
        return config

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the content asks for, each once, in order of appearance."""
        return template_of(self.content).names

    def fill(self, variables: Mapping[str, Any]) -> Rendered:
        """The content with `variables` in it, the names that had no value and stayed as they are written, and the given
        names that it does not ask for. Raises CannotRender for a value that has no JSON."""
        return template_of(self.content).fill(variables)

    def render(self, variables: Mapping[str, Any] | None = None, *, strict: bool = False) -> str:
        """The content with `variables` in it.

        Raises MissingVariables when `strict` and some have no value, CannotRender for a value that has no JSON.
        """
        text, missing = template_of(self.content).text(variables or {})
        if missing and strict:
            raise MissingVariables(missing)
        return text

    def document(self) -> dict[str, Any]:
        """As the server sends it."""
        plain = {name: getattr(self, name) for name in ("key", "version", "env", "model", "content")}
        return {**plain, "config": self.config, **({"variant": self.variant} if self.variant else {})}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is served changed. `prompt` is what is served from now on, None when nothing is.

    `type` is the server's (`prompt.published`, `rollout.updated`, ...). After an outage that was longer than the server
    remembers, and while polling, it is `prompt.created`, `prompt.updated` or `prompt.deleted`, by comparison.
    """

    type: str
    key: str
    env: str
    version: str
    revision: int
    prompt: Prompt | None


@dataclass(frozen=True, slots=True)
class Status:
    """How an environment's copy is doing. Times are seconds since the epoch; None: never yet."""

    state: State
    env: str | None
    prompts: int
    revision: int
    source: Literal["none", "disk", "server"]
    last_contact: float | None
    error: str | None
