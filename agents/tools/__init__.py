"""The kinds of tools that this room has, one file each; `register` makes them known. Rooms above add their own."""

from agents.runtime import toolbox
from agents.tools import agent, http


def register() -> None:
    for kind in (agent.KIND, http.KIND):
        toolbox.register(kind)
