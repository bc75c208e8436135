"""Prompts and their delivery: drafts, immutable versions, rollouts, and what applications are served."""
