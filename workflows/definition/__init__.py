"""Definitions: read, checked, described as JSON Schema, written as YAML, and chosen by version for a run."""
