"""Sessions of the back office. As with tokens, the database holds a digest of each key, and never the key."""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession

from governance.identity.credentials.bearer import digest_of

#: The column's length in Django's table. 160 bits of a digest of a random key are enough.
LENGTH = 40


def stored(session_key: str) -> str:
    """The value that a row has in place of the session's key."""
    return digest_of(session_key)[:LENGTH]


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> AbstractBaseSession | None:
        key, self._session_key = self._session_key, stored(self.session_key or "")
        try:
            session: AbstractBaseSession | None = super()._get_session_from_db()  # type: ignore[misc]  # not in the stubs
        finally:  # also after a database error: otherwise a second try would look for the digest of the digest
            self._session_key = key if self._session_key is not None else None
        return session

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        return await sync_to_async(self._get_session_from_db)()

    def exists(self, session_key: str) -> bool:
        return super().exists(stored(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(stored(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        row = await super().acreate_model_instance(data)
        row.session_key = stored(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(stored(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            await super().adelete(stored(key))
