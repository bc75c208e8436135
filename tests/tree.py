"""The repository's own files."""

from pathlib import Path

ROOT = Path(__file__).parents[1]

#: The folders that hold code.
CODE = ("agents", "bench", "governance", "promptops", "prompts", "sdk", "tests", "workflows")

#: What tools leave in them.
LEFT_OVERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "build", "dist"}


def files(*folders: str, suffix: str = "") -> list[Path]:
    """The files in these folders, at any depth, whose names end in `suffix`; in order of their paths."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob(f"*{suffix}"))
        if path.is_file() and LEFT_OVERS.isdisjoint(path.parts) and not path.parent.name.endswith(".egg-info")
    ]
