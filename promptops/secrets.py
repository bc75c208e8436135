"""Secrets that nobody gave are made at random once, and kept in the data folder for their owner's eyes only."""

import os
import secrets
from pathlib import Path


def read(path: Path) -> str | None:
    """The secret kept at `path`, or None when there is none."""
    try:
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def read_or_create(path: Path, *, nbytes: int = 32) -> str:
    """The secret kept at `path`, made at random (`nbytes` of entropy, mode 600) when there is none.

    Safe when several processes start at once: the file appears whole, and the first one wins.
    """
    if kept := read(path):
        return kept
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
    kept = read(path)
    if kept is None:
        raise RuntimeError(f"{path} is empty: remove it, or put a secret into it")
    return kept
