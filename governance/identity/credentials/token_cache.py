"""Who holds a token, and which workspaces people see: remembered until somebody loses or changes what they may do.

It is emptied at once when access changes in this process, and within a second when it changes in another one. Only the
fast lane reads it; everything else asks the database.
"""

import hashlib
import threading
import uuid

from governance.access.actors import Actor

AT_MOST = 10_000


class TokenCache:
    """Actors by the digest of the `Authorization` header. The secrets themselves are not stored."""

    def __init__(self) -> None:
        self._actors: dict[bytes, tuple[Actor, float]] = {}
        self._memberships: set[tuple[uuid.UUID | None, str]] = set()
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

    def is_member(self, actor: Actor, workspace_id: str) -> bool:
        """Whether a person is known to be a member of the workspace. False may also mean that it is not known."""
        return (actor.user_id, workspace_id) in self._memberships

    def remember_membership(self, actor: Actor, workspace_id: str, generation: int) -> None:
        """Keep that a person sees the workspace, as it was found out since `generation`; other actors are ignored."""
        pair = (actor.user_id, workspace_id)
        if actor.user_id is None or actor.sees_all or pair in self._memberships:
            return
        with self._lock:
            if generation != self.generation:
                return
            if len(self._memberships) >= AT_MOST:
                self._memberships.clear()
            self._memberships.add(pair)

    def clear(self) -> None:
        """Forget everything, since access changed. On any thread."""
        with self._lock:
            self.generation += 1
            self._actors.clear()
            self._memberships.clear()


def _digest(header: bytes) -> bytes:
    return hashlib.sha256(header).digest()


#: This process's own.
tokens = TokenCache()
