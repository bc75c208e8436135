"""A cache of the actors of tokens, valid for as long as access does not change.

It is emptied at once when access changes in this process, and within a second when it changes in another one. Only the
fast lane reads it; everything else asks the database.
"""

import hashlib
import threading

from governance.access.actors import Actor

AT_MOST = 10_000


class TokenCache:
    """Actors by the digest of the `Authorization` header. The secrets themselves are not stored."""

    def __init__(self) -> None:
        self._actors: dict[bytes, tuple[Actor, float]] = {}
        self.generation = 0
        self._lock = threading.Lock()

    def find(self, authorization: bytes, now: float) -> Actor | None:
        """The actor of an `Authorization: Bearer ...` header, if it is cached and not expired; `now` is a Unix time."""
        found = self._actors.get(_digest(authorization))
        return found[0] if found is not None and now < found[1] else None

    def remember(self, secret: str, actor: Actor, generation: int) -> None:
        """Cache the actor of `secret`. `generation` was read before: if access changed since, it is not cached."""
        expires = actor.expires_at.timestamp() if actor.expires_at else float("inf")
        with self._lock:
            if generation != self.generation:
                return
            if len(self._actors) >= AT_MOST:
                self._actors.clear()
            self._actors[_digest(b"Bearer " + secret.encode("latin-1", "replace"))] = (actor, expires)

    def clear(self) -> None:
        """Forget everything, since access changed. On any thread."""
        with self._lock:
            self.generation += 1
            self._actors.clear()


def _digest(header: bytes) -> bytes:
    return hashlib.sha256(header).digest()


#: This process's own.
tokens = TokenCache()
