// How figures of runs are written.
const money = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 3 });
const count = new Intl.NumberFormat("en");

export function time(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** What a run's result says of what it took, in words by their names. */
export function figuresOf(result) {
  const about = result.tokens_estimated ? "~" : "";
  return {
    tokens: `${about}${count.format(result.prompt_tokens)} / ${count.format(result.output_tokens)}`,
    cost: result.cost_usd === null ? "unknown" : money.format(result.cost_usd),
    latency: time(result.latency_ms),
  };
}
