from collections.abc import Mapping
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
    """A place that speaks the OpenAI API. `key_variable` names the environment variable that holds our key for it."""

    name: str
    label: str
    base_url: str
    default_model: str
    key_variable: str | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call, with everything that it needs: nothing is taken from the surroundings later."""

    provider: Provider
    model: str
    prompt: str
    base_url: str
    api_key: str | None = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back. Token counts are None when the provider did not tell."""

    output: str
    model: str
    finish_reason: str | None
    prompt_tokens: int | None
    output_tokens: int | None
