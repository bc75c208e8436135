"""Who holds a token, remembered for as long as nobody lost or changed what they may do.

It is emptied in the moment of such a change in this process, and by the tail's next look for one elsewhere: within a
second. Only the fast lane reads it; every other way asks the database.
"""

import threading

from governance import access
from governance.actors import Actor
from governance.bearer import bearer_of, digest_of

AT_MOST = 10_000


class TokenCache:
    """By digest, as in the database: the secrets themselves are not kept."""

    def __init__(self) -> None:
        self._actors: dict[str, tuple[Actor, float]] = {}
        self.generation = 0
        self._lock = threading.Lock()

    def find(self, authorization: bytes, now: float) -> Actor | None:
        """The holder of an `Authorization` header, if known and not expired; `now` is a Unix time."""
        secret = bearer_of(authorization.decode("latin-1"))
        if not secret:
            return None
        found = self._actors.get(digest_of(secret))
        return found[0] if found is not None and now < found[1] else None

    def remember(self, secret: str, actor: Actor, generation: int) -> None:
        """Keep who holds `secret`, as it was found out since `generation`; dropped when something changed meanwhile."""
        expires = actor.expires_at.timestamp() if actor.expires_at else float("inf")
        with self._lock:
            if generation != self.generation:
                return
            if len(self._actors) >= AT_MOST:
                self._actors.clear()
            self._actors[digest_of(secret)] = (actor, expires)

    def clear(self) -> None:
        """Somebody lost or changed what they may do. On any thread."""
        with self._lock:
            self.generation += 1
            self._actors.clear()


#: This process's own.
tokens = TokenCache()
access.listeners.append(tokens.clear)
