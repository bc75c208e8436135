"""Which parameters of a config go to the model. Each is sent, refused, or listed in the answer as not sent."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from agents.providers.protocol import Provider
from governance.core.errors import InvalidInputError

#: The names that are parameters of models, as docs/models.md lists them. Not every provider supports each.
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
        *("prompt_cache_key", "prompt_cache_retention", "cache_prompt", "keep_alive", "num_ctx", "provider"),
        "transforms",
    }
)

#: What the server itself adds to calls beside parameters. A provider may not know it.
FEATURES = frozenset({"stream_options", "reasoning_content", "reasoning_details"})

#: Characters of a wrong name that an error repeats.
_SHOWN = 50


def choose(
    config: Mapping[str, Any], *, requested: Collection[str], provider: Provider
) -> tuple[dict[str, Any], list[str]]:
    """Split `config` into the parameters that are sent to the provider and the names of what is not.

    Raises InvalidInputError for a name in `requested` that is no parameter of models, or that this provider does not
    support.
    """
    problem = unknown(requested)
    refused = next((name for name in requested if not provider.supports(name)), None)
    if problem is None and refused is not None:
        source = ", as an admin has it" if refused in provider.unsupported else ""
        problem = f"{provider.label} does not know {refused}{source}"
    if problem is not None:
        raise InvalidInputError.of("config", problem)
    sent = {name: value for name, value in config.items() if name in MODEL_PARAMETERS and provider.supports(name)}
    return sent, sorted(config.keys() - sent.keys())


def unknown(names: Collection[str]) -> str | None:
    """What is wrong with the first name that is no parameter of models; None when all are."""
    name = next((name for name in names if name not in MODEL_PARAMETERS), None)
    if name is None:
        return None
    shown = name[:_SHOWN]
    near = get_close_matches(shown, MODEL_PARAMETERS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{shown!r} is no parameter that is sent to models{hint}"
