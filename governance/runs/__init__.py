"""The run log: every run of a model, an agent or a workflow, its statistics and ratings."""
