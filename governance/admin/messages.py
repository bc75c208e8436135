"""Messages for the next page. Some contain a new secret: they are stored encrypted in the session, not in a cookie."""

from collections.abc import Sequence
from typing import Any

from django.contrib.messages.storage.session import SessionStorage
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.core import ciphertext


class Storage(SessionStorage):
    def serialize_messages(self, messages: Sequence[Any]) -> str:
        return ciphertext.encrypt(super().serialize_messages(messages))

    def deserialize_messages(self, data: Any) -> list[Any]:
        try:
            return list(super().deserialize_messages(ciphertext.decrypt(data)) or []) if data else []
        except ciphertext.UnreadableError:
            return []


def of_new_secret(name: str, secret: str) -> SafeString:
    """The message that shows a new secret, this once. The page has to have governance/copy.js for its button."""
    return format_html(
        'The secret of {}, which is shown this once: <code class="secret" id="new-secret">{}</code> '
        '<button type="button" class="tool" data-copy="new-secret">Copy</button>',
        name,
        secret,
    )
