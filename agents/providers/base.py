from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The parameters of a config that go to the model; the rest of it is the application's own.
MODEL_PARAMETERS = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
        "reasoning_effort",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A place that speaks the OpenAI API.

    `key_variable` names the environment variable that may hold our key for it; `stored_key` is the one that an admin
    stored, encrypted. `vouched`: its address is the operator's word, so it may lead anywhere.
    """

    name: str
    label: str
    base_url: str
    default_model: str
    key_variable: str | None = None
    stored_key: str = field(default="", repr=False)
    needs_key: bool = False
    offline: bool = False
    vouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call, with everything that it needs: nothing is taken from the surroundings later.

    `prompt` is what is asked, and all that is said unless `messages` (in the API's own format) say more; `tools` are
    offered to the model in the API's format. `timeout` is in seconds, for all of it; `retries` is how often it is
    repeated at most.
    """

    provider: Provider
    model: str
    prompt: str
    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    base_url: str
    vouched: bool = False
    api_key: str | None = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout: float
    retries: int = 0

    @property
    def said(self) -> Sequence[Mapping[str, Any]]:
        """The messages that are sent."""
        return self.messages or [{"role": "user", "content": self.prompt}]

    @property
    def text(self) -> str:
        """All the text that is sent, to be counted."""
        return "\n".join(str(message.get("content") or "") for message in self.said) if self.messages else self.prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of a call. `cached_tokens` are those of the prompt that the provider had already, None if it didn't tell;
    `estimated` when it did not count and we guessed."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish to have a tool called. `arguments` are JSON, if the model got it right.

    `extra` is what the provider wants to hear again with the outcome: Gemini signs its thoughts there.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back."""

    output: str
    model: str
    finish_reason: str | None
    usage: Usage
    tool_calls: Sequence[ToolCall] = ()
