"""One run of a prompt or an agent: its plan, its calls of models and tools, its answer; conversations."""
