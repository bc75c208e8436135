"""What a call cost, by the price list that comes with genai-prices. A price that nobody knows is None, never zero."""

from decimal import Decimal

from agents.providers.protocol import Usage

#: Our providers' names in the price list. What others ask for their models, nobody publishes.
_LISTED = {"openai": "openai", "claude": "anthropic", "gemini": "google"}


def cost_of(*, provider: str, model: str, usage: Usage) -> Decimal | None:
    """In US dollars. None for a model that is not listed, and for tokens that were only estimated."""
    listed = _LISTED.get(provider)
    if listed is None or usage.estimated:
        return None
    import genai_prices  # a quarter of a second: the first call pays, not the start

    tokens = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=min(usage.cached_tokens or 0, usage.prompt_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(tokens, model_ref=model, provider_id=listed).total_price
    except (LookupError, ValueError):
        return None
    return price.quantize(Decimal("0.00000001"))
