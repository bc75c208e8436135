"""Agents and model providers in the back office."""

from agents.admin import agents, conversations, providers

__all__ = ["agents", "conversations", "providers"]
