"""What a call used and cost. An unknown price is None, never zero."""

from dataclasses import replace
from decimal import Decimal

from agents.providers.protocol import ModelCall, Provider
from governance.runs.usage import TokenUsage


def with_cost(usage: TokenUsage, *, provider: Provider, model: str) -> TokenUsage:
    """The usage with its cost by the price list of genai-prices.

    The cost is None for a provider or a model that is not listed, and for tokens that were only estimated.
    """
    if not provider.price_list or usage.estimated:
        return replace(usage, cost_usd=None)
    return replace(usage, cost_usd=_cost(usage, provider.price_list, model))


def estimate(call: ModelCall, output: str) -> TokenUsage:
    """A guess at what a call used of which nothing but the output is known."""
    return TokenUsage(prompt_tokens=prompt_tokens(call), output_tokens=tokens(output), estimated=True)


def prompt_tokens(call: ModelCall) -> int:
    """About how many tokens are sent."""
    return tokens("\n".join(message.content for message in call.messages) if call.messages else call.prompt)


def tokens(text: str) -> int:
    """About four characters a token. Exact counting needs each model's own tables."""
    return -(-len(text) // 4)


def _cost(usage: TokenUsage, price_list: str, model: str) -> Decimal | None:
    import genai_prices  # takes a quarter of a second to load: the first call pays, not the start

    counted = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=min(usage.cached_tokens or 0, usage.prompt_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(counted, model_ref=model, provider_id=price_list).total_price
    except (LookupError, ValueError):
        return None
    return price.quantize(Decimal("0.00000001"))
