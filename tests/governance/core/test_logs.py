"""Log lines hold no credential, are bounded, and are one line an event, whatever is in them."""

import io
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from governance.core import logs

SECRET = "s3cr3t-0123456789"
Told = Callable[[], str]
MEGABYTE = 1_000_000


@pytest.fixture
def told() -> Iterator[Told]:
    """What was written since, in the form that the settings give to every line."""
    form = settings.LOGGING["formatters"]["line"]
    assert form["()"] == "governance.core.logs.LineFormatter"
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.LineFormatter(form["format"]))
    handler.addFilter(logs.AddRequestId())
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    yield stream.getvalue
    logger.removeHandler(handler)


def log(message: str, *values: Any, **more: Any) -> None:
    logging.getLogger("uvicorn.error").error(message, *values, **more)


@pytest.mark.parametrize(
    "query",
    [
        f"token={SECRET}",
        f"access_token={SECRET}",
        f"%74oken={SECRET}",
        f"namespace=prod&to%6ben={SECRET}",
        f"TOKEN={SECRET}&since=1",
        f"?token={SECRET}",
        f"a;token={SECRET}",
        SECRET,
    ],
)
def test_an_address_is_written_without_its_query_whatever_the_names_in_it(query: str, told: Told) -> None:
    log('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", f"/ws?{query}")
    assert told().endswith(' 127.0.0.1:1 - "WebSocket /ws?[left out] [accepted]\n')


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {SECRET}",
        f"bearer  {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}', 'a': 1}}",
        f"(b'authorization', b'BEARER {SECRET}')",
        f"Bearer\t{SECRET}",
        f"Bearer\n{SECRET}",
        f"Bearer: {SECRET}",
        f"Bearer={SECRET}",
    ],
)
def test_what_follows_bearer_is_left_out(text: str, told: Told) -> None:
    log("got %s there", text)
    assert SECRET not in told()
    assert logs.LEFT_OUT in told()


def test_an_error_and_what_it_was_made_of_are_written_without_queries_and_cannot_look_like_an_event(told: Told) -> None:
    forged = "2026-01-01 00:00:00,000 INFO promptops [-] all is well"
    try:
        try:
            raise ValueError(f"could not reach https://x.example/v1?key={SECRET}\n{forged}\r{forged}\u2028{forged}")
        except ValueError as error:
            raise RuntimeError(f"Authorization: Bearer {SECRET}\x1b[2J") from error
    except RuntimeError as error:
        log(f"it failed for /ws?token={SECRET}\n{forged}", exc_info=error)
    lines = told().splitlines()
    assert SECRET not in told()
    assert [line for line in lines if not line.startswith("  ")] == lines[:1]
    assert "https://x.example/v1?[left out]" in told()
    assert "\x1b" not in told()


def test_a_message_that_does_not_fit_its_values_is_written_without_them() -> None:
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, "%d sockets", (f"/ws?token={SECRET}",), None)
    assert logs.LineFormatter("%(message)s").format(record) == "%d sockets"


@pytest.mark.parametrize("text", ["what now? Nobody knows.", "governance/bearer.py, bearer_of(header)", "a?", "é ü 漢"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert logs.safe(text) == text


@pytest.mark.parametrize(
    "pattern", ["?%", "?", "%", "Bearer ", "bearer", "&token=", "?token=x ", " ", "\n", "\x00", "a", "? ", "\ud800"]
)
def test_a_megabyte_of_anything_is_a_short_line_at_once(pattern: str) -> None:
    text = pattern * (MEGABYTE // len(pattern))
    began = time.perf_counter()
    assert len(logs.safe(text)) < 7 * logs.LONGEST
    assert len(logs.safe("?%" * 800)) < logs.LONGEST
    assert time.perf_counter() - began < 0.05


def test_a_traceback_of_a_megabyte_is_bounded(told: Told) -> None:
    for text in ("?%\n" * 300_000, "?%" * 500_000):
        try:
            raise ValueError(text)
        except ValueError as error:
            log("it failed", exc_info=error)
    assert len(told()) < 2 * logs.MOST_LINES * 100 + 20 * logs.LONGEST


@given(st.text(max_size=300))
def test_a_line_is_one_printable_line(text: str) -> None:
    assert logs.safe(text).isprintable()
    assert len(logs.safe(text).splitlines()) <= 1
