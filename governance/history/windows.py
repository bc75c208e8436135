"""Spans of time that logs are narrowed down to."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def window(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """The whole hours that hold it, which is what is covered."""
    first = since.replace(minute=0, second=0, microsecond=0) if since else None
    last = until.replace(minute=0, second=0, microsecond=0) if until else None
    if last is not None and until is not None and last < until:
        last += timedelta(hours=1)
    return first, last
