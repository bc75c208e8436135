"""The last-known-good copy on disk: readable by its owner only, replaced as a whole, never with the token in it."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1


def default_folder() -> Path:
    """`PROMPTOPS_CACHE_DIR`, else the user's cache folder. Raises RuntimeError for a user without a home."""
    if named := os.environ.get("PROMPTOPS_CACHE_DIR"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "promptops"


def name_of(*, base_url: str, workspace: str | None, env: str | None, api_key: str) -> str:
    """The file's name for one environment as one API key sees it. No environment is another file than any name."""
    identity = json.dumps([base_url, workspace, env, api_key])
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:40]}.json"


def read(path: Path) -> dict[str, Any] | None:
    """What was written there; None when there is no file, or none in this format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file as a whole. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".saving-")  # mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, **content}, file, ensure_ascii=False, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
