from tests.agents.conftest import _asked_once, _cheap_passwords, _places, upstream

__all__ = ["_asked_once", "_cheap_passwords", "_places", "upstream"]
