"""Figures as a table for people and as JSON for machines."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: `value` in `unit`, the baseline of the same run, and what the two make."""

    what: str
    value: float
    unit: str
    baseline: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def table(figures: list[Figure]) -> str:
    """A Markdown table."""
    lines = ["| what | figure | unit | baseline | ratio | |", "| --- | ---: | --- | ---: | ---: | --- |"]
    for figure in figures:
        baseline = f"{figure.baseline:,.1f}" if figure.baseline else ""
        ratio = f"{figure.ratio:.2f}" if figure.ratio else ""
        lines.append(f"| {figure.what} | {figure.value:,.1f} | {figure.unit} | {baseline} | {ratio} | {figure.note} |")
    return "\n".join(lines)


def write_json(figures: list[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(figure), "ratio": figure.ratio} for figure in figures]
    content = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "figures": rows}
    path.write_text(json.dumps(content, indent=2) + "\n")
