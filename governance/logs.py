"""Log lines carry the request's id and never a token."""

import logging
import random
import re
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# A name that holds a percent sign may be `token` in disguise.
_SECRET = re.compile(r"(?i)((?:[?&](?:token|api_key|[^=&\s]*%[^=&\s]*)=)|(?:bearer\s+))[^&\s\"']+")


def new_request_id(given: str) -> str:
    """The id that the client gave, if it is sane, else a fresh one: 128 bits as 32 digits, of no use to guess."""
    if given and _SANE_ID.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"  # a UUID would take a tenth of a fetch's time here


def redact(text: str) -> str:
    """`text` without the tokens in query strings and Authorization headers."""
    return _SECRET.sub(r"\1[redacted]", text)


class RedactSecrets(logging.Filter):
    """uvicorn logs the WebSocket's query string, and with it the token; this is what stops it."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, None
        return True


class AddRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
