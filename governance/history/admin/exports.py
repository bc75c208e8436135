"""A log as a file: written as it is read, a thousand rows at a time, so that a million need no more memory than one."""

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q, QuerySet
from django.http import Http404, StreamingHttpResponse
from django.utils import timezone

from governance.core.db import on_thread

AT_ONCE = 1000

#: Without it Excel reads a file in the code page of the machine, and not as UTF-8.
BOM = "\ufeff"

#: What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection; the last four are their wide forms).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def respond(rows: QuerySet[Any], columns: Sequence[str], *, kind: str, name: str) -> StreamingHttpResponse:
    """The answer that streams these fields of `rows`, newest first, as `kind`: csv or json; else Http404 is raised."""
    writers: dict[str, tuple[Callable[..., AsyncIterator[str]], str]] = {
        "csv": (_csv, "text/csv; charset=utf-8"),
        "json": (_json, "application/json; charset=utf-8"),
    }
    if kind not in writers:
        raise Http404
    write, content_type = writers[kind]
    now = timezone.now()
    batches = _batches(rows.filter(created_at__lte=now), columns)
    response = StreamingHttpResponse(_encoded(write(batches, columns)), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}-{now:%Y%m%d-%H%M%S}.{kind}"'
    response["Cache-Control"] = "no-store"
    return response


def inert(value: Any) -> str:
    """A cell that no spreadsheet runs: what begins like a formula gets an apostrophe, which makes it text."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, cls=DjangoJSONEncoder)
    text = str(value)
    is_text = not isinstance(value, bool | int | float | Decimal)
    # White space before a formula doesn't keep every spreadsheet from running it.
    return f"'{text}" if is_text and (text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)) else text


async def _batches(rows: QuerySet[Any], columns: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
    """The rows' values, batch by batch, each from where the last one ended: no cursor is held, no row is skipped."""
    ordered = rows.order_by("-created_at", "-id")
    last: Any = None
    while True:
        batch = await on_thread(_read, ordered, last)
        if not batch:
            return
        last = batch[-1]
        yield [{name: _plain(getattr(row, name)) for name in columns} for row in batch]
        if len(batch) < AT_ONCE:
            return


def _read(ordered: QuerySet[Any], last: Any) -> list[Any]:
    if last is not None:
        earlier = Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
        ordered = ordered.filter(earlier, created_at__lte=last.created_at)  # the latter is what an index is good for
    return list(ordered[:AT_ONCE])


async def _csv(batches: AsyncIterator[list[dict[str, Any]]], columns: Sequence[str]) -> AsyncIterator[str]:
    yield BOM + _lines([columns])
    async for batch in batches:
        yield _lines([inert(value) for value in row.values()] for row in batch)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue()


async def _json(batches: AsyncIterator[list[dict[str, Any]]], columns: Sequence[str]) -> AsyncIterator[str]:
    before = "[\n"
    async for batch in batches:
        yield before + ",\n".join(json.dumps(row, ensure_ascii=False, cls=DjangoJSONEncoder) for row in batch)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


async def _encoded(texts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for text in texts:
        yield text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, uuid.UUID) else value
