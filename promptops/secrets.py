"""Secrets that are not configured: made at random once, and stored in the data folder, readable by its owner alone."""

import contextlib
import itertools
import os
import re
import secrets
import stat
from pathlib import Path

#: Fewer characters than that can be guessed; so can what has fewer different ones.
LEAST_LENGTH, LEAST_VARIETY = 16, 6
#: Parts of what documentation, templates and examples have in the place of a secret.
FROM_DOCUMENTATION = re.compile(
    r"promptops-dev|dev-token|qwerty|asdfgh|django-insecure|change[-_ ]?(?:me|this)|your[-_ ]?(?:secret|token|key)"
    r"|(?:secret|token|key)[-_ ]?(?:here|goes)|placeholder|insecure|not[-_ ]?(?:so[-_ ]?)?secret",
    re.IGNORECASE,
)


def weakness_of(secret: str) -> str | None:
    """Why a secret can be guessed, as the end of a sentence; None when it can't."""
    if len(secret) < LEAST_LENGTH:
        return f"is shorter than {LEAST_LENGTH} characters"
    if FROM_DOCUMENTATION.search(secret):
        return "is an example from documentation"
    if len(set(secret)) < LEAST_VARIETY or _in_order(secret) or _is_common(secret):
        return "repeats or counts on, or is a common password"
    return None


def _in_order(secret: str) -> bool:
    """Whether most characters are the one before them, or the next to it: aaaa, 1234, dcba."""
    steps = sum(abs(ord(one) - ord(other)) <= 1 for one, other in itertools.pairwise(secret))
    return steps > len(secret) * 0.6


def _is_common(secret: str) -> bool:
    """Whether it is a common password, over and over, or with digits and signs around it."""
    # Here and not above: settings are not there yet where this module is loaded, and few starts give a secret.
    from django.contrib.auth.password_validation import CommonPasswordValidator

    common: set[str] = CommonPasswordValidator().passwords
    core = re.sub(r"[\W\d_]+", "", secret.lower())
    return any(_period(text) in common for text in (secret.lower(), core))


def _period(text: str) -> str:
    """What `text` repeats: `abab` is `ab` over and over."""
    return text[: (text + text).find(text, 1)] if text else text


def protect(folder: Path, *databases: Path) -> None:
    """Close the data folder and the databases to all but their owner, whatever was there before.

    SQLite gives its `-wal` and `-shm` files the modes of the database. A folder that is shared, by its nature (/tmp) or
    since something in it belongs to another user, who would be shut out, stays as it is: a system check tells of it.
    """
    os.umask(0o077)  # for what is written from here on
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_shared(folder):
        _close(folder, 0o700)
    _close(folder / "secrets", 0o700)
    for path in (*databases, *(folder / "secrets").glob("*"), *folder.glob("*.sqlite3")):
        for suffix in ("", "-wal", "-shm", "-journal"):
            _close(path.with_name(path.name + suffix), 0o600)


def _is_shared(folder: Path) -> bool:
    about = folder.stat()
    if about.st_mode & stat.S_ISVTX:
        return True
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # files beside a database come and go
            if entry.lstat().st_uid != about.st_uid:
                return True
    return False


def _close(path: Path, mode: int) -> None:
    try:
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)
    except (FileNotFoundError, PermissionError):
        pass


def read(path: Path) -> str | None:
    """The secret stored at `path`, or None when there is none."""
    try:
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def read_or_create(path: Path, *, nbytes: int = 32) -> str:
    """The secret stored at `path`, made at random (`nbytes` of entropy, mode 600) when there is none.

    Safe when several processes start at once: the file appears whole, and the first one wins.
    """
    if stored := read(path):
        return stored
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(nbytes) + "\n")
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # another process was first: its secret is the one
    finally:
        fresh.unlink(missing_ok=True)
    stored = read(path)
    if stored is None:
        raise RuntimeError(f"{path} is empty: remove it, or put a secret into it")
    return stored
