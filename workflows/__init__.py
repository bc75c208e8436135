"""Workflows: steps that run in order, each on what the one before it made."""
