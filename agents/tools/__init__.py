"""The kinds of tools of this app, one module each. Other apps register their own."""

from agents.runtime import toolbox
from agents.tools import agent, http


def register() -> None:
    """Add them to the registry. Called when the app starts."""
    for kind in (agent.KIND, http.KIND):
        toolbox.register(kind)
