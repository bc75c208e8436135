"""Log lines: one event is one line of bounded length, and no line holds a credential.

Addresses are written without their queries, whatever the names in them are, and what follows `Bearer` is left out. All
of it is done in one pass over the text: a line is written on the event loop, and what is in it may come from anybody.
"""

import logging
import random
import re
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="-")

#: Characters of a message, or of a line of a traceback, that are written; the rest is counted.
LONGEST = 2000

#: Lines of a traceback that are written, the last ones.
MOST_LINES = 100

LEFT_OUT = "[left out]"

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

#: What may stand around a word that is a scheme or an address: quotes and brackets of sentences, lists and reprs.
_AROUND = "\"'`()[]{}<>,:;="


def new_request_id(sent: str) -> str:
    """The id that the client sent, if it is safe to log, else a new one: 128 random bits as 32 hexadecimal digits."""
    if sent and _SANE_ID.fullmatch(sent):
        return sent
    return f"{random.getrandbits(128):032x}"  # a UUID would take a tenth of a fetch's time here


def safe(text: str) -> str:
    """`text` as one line of bounded length, without queries, bearer secrets and characters that steer a terminal."""
    over = len(text) - LONGEST
    text = text[:LONGEST] if over > 0 else text
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    if "?" in text or "earer" in text.lower():
        text = _without_secrets(text)
    return f"{text}... ({over} more characters)" if over > 0 else text


def _without_secrets(text: str) -> str:
    words = text.split(" ")
    follows_bearer = False
    for number, word in enumerate(words):
        if not word:
            continue
        if follows_bearer:
            words[number], follows_bearer = LEFT_OUT, False
            continue
        before, mark, query = word.partition("?")
        if query.strip(_AROUND):
            words[number] = f"{before}{mark}{LEFT_OUT}"
        at = before.lower().rfind("bearer")
        if at < 0:
            continue
        after = before[at + 6 :]
        if not after.strip(_AROUND):
            follows_bearer = not mark
        elif not (after[0].isalnum() or after[0] in "_."):  # those go on with a name, as `bearer_of` does
            words[number] = f"{before[: at + 6]}{LEFT_OUT}"
    return " ".join(words)


class LineFormatter(logging.Formatter):
    """Makes every part of a line safe. A traceback's lines are indented, so that none looks like an event."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = safe(_message_of(record))
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += _indented(self.formatException(record.exc_info))
        if record.stack_info:
            lines += _indented(self.formatStack(record.stack_info))
        return "\n".join(lines)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # logging would print the arguments as they are
        return str(record.msg)


def _indented(text: str) -> list[str]:
    lines = text.splitlines()
    left_out = len(lines) - MOST_LINES
    written = [f"... ({left_out} more lines)", *lines[-MOST_LINES:]] if left_out > 0 else lines
    return [f"  {safe(line)}" for line in written]


class AddRequestId(logging.Filter):
    def filter(self, record: Any) -> bool:
        record.request_id = request_id.get()
        return True
