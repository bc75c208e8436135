from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The parameters of a config that go to the model, as docs/models.md lists them. Others are refused or listed.
MODEL_PARAMETERS = frozenset(
    {
        # how it chooses words
        *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "seed", "random_seed", "logit_bias"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "repeat_penalty", "length_penalty"),
        *("no_repeat_ngram_size", "mirostat", "mirostat_tau", "mirostat_eta"),
        # where it ends
        *("max_tokens", "max_completion_tokens", "min_tokens", "stop", "stop_token_ids", "ignore_eos", "bad_words"),
        *("include_stop_str_in_output", "skip_special_tokens"),
        # how it thinks
        *("reasoning_effort", "reasoning", "reasoning_format", "reasoning_split", "include_reasoning", "verbosity"),
        *("thinking", "thinking_budget", "enable_thinking", "prompt_mode", "chat_template_kwargs"),
        # in what shape it answers
        *("response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"),
        *("grammar", "json_schema", "prediction"),
        # how it uses tools
        *("tool_choice", "parallel_tool_calls", "web_search_options"),
        # how the provider treats the call
        *("service_tier", "store", "metadata", "user", "safety_identifier", "safe_prompt", "safety_settings"),
        *(
            "prompt_cache_key",
            "prompt_cache_retention",
            "cache_prompt",
            "keep_alive",
            "num_ctx",
            "provider",
            "transforms",
        ),
    }
)

#: What calls carry beside parameters because we put it there; a provider may not know it.
FEATURES = frozenset({"stream_options", "reasoning_content", "reasoning_details"})

#: What stands in for a message without words, which many providers take in no conversation.
NO_WORDS = "(nothing was said)"


def worded(text: str) -> str:
    """The text as a message of a conversation can have it."""
    return text if text.strip() else NO_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A place that speaks the OpenAI API.

    `key_variable` names the environment variable that may hold our key for it; `stored_key` is the one that an admin
    stored, encrypted. `vouched`: its address is the operator's word, so it may lead anywhere. `unsupported` names the
    parameters and features that it does not know.
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
    unsupported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call, with everything that it needs: nothing is taken from the surroundings later.

    `prompt` is what is asked, and all that is said unless `messages` (in the API's own format) say more; `tools` are
    offered to the model in the API's format. `unsent` names what of a stored config does not go to the model.
    `timeout` is in seconds, for all of it; `retries` is how often it is repeated at most.
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
    unsent: Sequence[str] = ()
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
    """What came back.

    `reasoning` is what the model thought, apart from its `output`; `carried` are the fields of its message that the
    provider wants back with the outcome of tools. `refusal` is there when the model refused, and is the output then.
    """

    output: str
    model: str
    finish_reason: str | None
    usage: Usage
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str = ""
    refusal: str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)
