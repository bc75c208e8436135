"""Steps that decide where and when a run goes on, or that have steps inside them."""
