"""Models at work: providers, the playground, and agents."""
