from tests.agents.conftest import _cheap_passwords, _places, upstream

__all__ = ["_cheap_passwords", "_places", "upstream"]
