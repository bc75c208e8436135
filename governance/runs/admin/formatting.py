"""Formatting: how figures, states and texts of runs are shown on every page."""

from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.runs.models import Run, RunStatus

NOTHING = "\N{EN DASH}"

_COLOURS = {RunStatus.OK: "good", RunStatus.ERROR: "bad", RunStatus.INTERRUPTED: "warn", RunStatus.RUNNING: "info"}


def badge(run: Run) -> SafeString:
    """The status: a colour, and the word for readers who can't distinguish colours."""
    return format_html(
        '<span class="badge {}">{}</span>', _COLOURS.get(RunStatus(run.status), ""), run.get_status_display()
    )


def number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def tokens_of(run: Run) -> str:
    """Sent and received; ~ when the provider did not count."""
    if run.prompt_tokens is None and run.output_tokens is None:
        return NOTHING
    return f"{'~' if run.tokens_estimated else ''}{number(run.prompt_tokens)} / {number(run.output_tokens)}"


def money(value: Decimal | float | None) -> str:
    """Dollars, with as many places as a small amount needs."""
    if value is None:
        return NOTHING
    if not value:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.6f}".rstrip("0")


def duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 60_000 else f"{milliseconds / 60_000:.1f} min"


def label_of(value: str | None) -> str:
    """A group of a chart, by the value that its runs have in common."""
    return "all others" if value is None else value or "(none)"


def facts_of(run: Run) -> list[tuple[str, Any]]:
    """A run's particulars, those that it has."""
    cached = f", {number(run.cached_tokens)} of them cached" if run.cached_tokens else ""
    estimated = " (estimated)" if run.tokens_estimated else ""
    found = [
        ("Provider", run.provider),
        ("Model", run.model),
        ("Environment", run.environment),
        ("Version", run.version),
        ("Variant", run.variant),
        ("Tokens sent", "" if run.prompt_tokens is None else f"{number(run.prompt_tokens)}{cached}{estimated}"),
        ("Tokens received", "" if run.output_tokens is None else f"{number(run.output_tokens)}{estimated}"),
        ("Cost", "unknown" if run.cost_usd is None else money(run.cost_usd)),
        ("Latency", "" if run.latency_ms is None else duration(run.latency_ms)),
        ("By", run.actor),
        ("Workspace", run.workspace_id),
        ("Id", str(run.pk)),
    ]
    return [(name, value) for name, value in found if value]
