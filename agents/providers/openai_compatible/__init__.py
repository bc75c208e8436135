"""Providers that have OpenAI's API for chat completions, in whatever form they answer."""
