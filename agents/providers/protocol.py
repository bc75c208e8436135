"""What a provider of models is to the rest of the server: how it is described, how it is called, what it answers.

Callers know this module alone. `ChatProvider` is what an implementation of a provider's API has to be, `Provider` is a
provider's entry in the registry, and the other types are what goes in and comes out of a call.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from governance.core import registry
from governance.runs.usage import TokenUsage

Role = Literal["system", "user", "assistant", "tool"]

#: The feature of an implementation that can offer tools to a model.
TOOLS = "tools"

#: What is sent in place of an empty message, which many providers refuse.
EMPTY_MESSAGE = "(nothing was said)"

#: Why an answer ended (`Completion.finish_reason`, in small letters) when the model or its provider refused to give it.
_REFUSALS = frozenset(
    {"refusal", "content_filter", "content_filtered", "safety", "recitation", "prohibited_content", "blocklist"}
    | {"spii", "sensitive", "guardrail_intervened"}
)
#: The same when the limit of output tokens cut it off.
_CUT_OFF = frozenset({"length", "max_tokens"})


class ChatProvider(Protocol):
    """An implementation of one API for chat completions, such as OpenAI's.

    It has no state of its own: a call carries its address, its key and everything else. All methods but `warm_up` run
    on the event loop of model calls (agents.transport.bridge) and must not block it.
    """

    @property
    def supports(self) -> frozenset[str]:
        """What the API knows: names of parameters and features (agents.providers.parameters), and TOOLS."""

    def warm_up(self) -> None:
        """Load what the first call would have to load. Blocking; called often, so that all but the first are cheap."""

    async def complete(self, call: "ModelCall") -> "Completion":
        """Make the call and return the whole answer.

        Raises ProviderError when the provider fails and ProviderTimeoutError after `call.timeout` seconds. When only a
        part of an answer came, the error's `extra` has it under `output`.
        """

    def stream(self, call: "ModelCall") -> "AsyncIterator[str | Completion]":
        """Make the call and yield the output in pieces as it comes, then the completion. Raises like `complete`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(registry.Entry):
    """A provider, as an entry of the registry: everything that is known about it.

    - `name` is what prompts, agents and workflows call it, `label` what people are shown.
    - `client` is the implementation of the API that it has.
    - `key_variable` names the environment variable that may hold the server's key for it, `stored_key` is the key that
      an admin stored, encrypted. `needs_key`: it refuses calls without one.
    - `is_offline`: it needs no network, so that there is neither an address nor a key to set up.
    - `is_vouched`: the operator configured this very address, so that it may be in a private network.
    - `unsupported` names parameters and features of the client's API that this provider refuses.
    - `price_list` is its name in the price list of genai-prices, `telemetry_name` its name in OpenTelemetry's
      conventions. Empty: nobody publishes its prices; it is called by `name`.
    """

    name: str
    label: str
    client: ChatProvider
    base_url: str
    default_model: str
    key_variable: str | None = None
    stored_key: str = field(default="", repr=False)
    needs_key: bool = False
    is_offline: bool = False
    is_vouched: bool = False
    unsupported: frozenset[str] = frozenset()
    price_list: str = ""
    telemetry_name: str = ""

    @property
    def base_url_variable(self) -> str:
        """The environment variable by which the operator moves a built-in provider to another address."""
        return f"PROMPTOPS_{self.name.upper()}_BASE_URL"

    def supports(self, name: str) -> bool:
        """Whether a parameter or feature of that name may be part of a call."""
        return name in self.client.supports and name not in self.unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool that a model asks for. `arguments` are JSON, if the model got it right.

    `extra` is what the provider wants back together with the tool's output, such as Gemini's signature of its thoughts.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a conversation with a model.

    An assistant's may have `tool_calls`, and `carried`: fields of the provider's own message that it wants back with
    the outputs of the tools. A tool's has the output as `content`, and in `tool_call_id` the call that it belongs to.
    """

    role: Role
    content: str
    tool_calls: Sequence[ToolCall] = ()
    carried: Mapping[str, Any] = field(default_factory=dict)
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model is offered it. `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call, with everything that it needs: no setting or environment variable is read later.

    `prompt` is the question; it is all that is sent unless there are `messages`. `unsent` names the parts of a stored
    config that do not go to the model. `timeout` is in seconds, for all attempts together; `retries` is how often the
    call is repeated at most.
    """

    provider: Provider
    model: str
    prompt: str
    messages: Sequence[Message] = ()
    tools: Sequence[ToolSpec] = ()
    base_url: str
    is_vouched: bool = False
    api_key: str | None = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unsent: Sequence[str] = ()
    timeout: float
    retries: int = 0

    @property
    def conversation(self) -> Sequence[Message]:
        """The messages that are sent."""
        return self.messages or [Message(role="user", content=self.prompt)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The answer to a call.

    `finish_reason` is why it ended, in the provider's word. `reasoning` is what the model thought, apart from its
    `output`; `carried` are the fields of its message that the provider wants back with the outputs of tools. `refusal`
    is there when the model refused, and is the output then.
    """

    output: str
    model: str
    finish_reason: str | None
    usage: TokenUsage
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str = ""
    refusal: str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether the model or the provider's filter refused to answer."""
        return (self.finish_reason or "").lower() in _REFUSALS

    @property
    def is_cut_off(self) -> bool:
        """Whether the limit of output tokens ended the answer."""
        return (self.finish_reason or "").lower() in _CUT_OFF


def non_empty(text: str) -> str:
    """The text, or EMPTY_MESSAGE when there is nothing in it."""
    return text if text.strip() else EMPTY_MESSAGE
