"""Messages for the next page. Some contain a new secret: they are stored encrypted in the session, not in a cookie."""

from collections.abc import Sequence
from typing import Any

from django.contrib.messages.storage.session import SessionStorage

from governance.core import ciphertext


class Storage(SessionStorage):
    def serialize_messages(self, messages: Sequence[Any]) -> str:
        return ciphertext.encrypt(super().serialize_messages(messages))

    def deserialize_messages(self, data: Any) -> list[Any]:
        try:
            return list(super().deserialize_messages(ciphertext.decrypt(data)) or []) if data else []
        except ciphertext.UnreadableError:
            return []
