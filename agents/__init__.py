"""Model providers, the playground, and agents."""
