"""What stands before Django: a body over the limit is refused before it is all there (contract, section 1)."""

from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from promptops.server.gate import BodyLimit

LIMIT: int = settings.PROMPTOPS_MAX_BODY_BYTES


async def exchange(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[list[Any], int]:
    """Send chunks through the gate to an application that reads them all: what it sends, how many it was given."""
    sent: list[Any] = []
    given_on = 0
    waiting = iter(chunks)
    left = len(chunks)

    async def receive() -> Any:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(waiting), "more_body": left > 0}

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal given_on
        while (await receive())["more_body"]:
            given_on += 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await BodyLimit(application)({"method": "POST", "path": "/", "type": "http", "headers": headers}, receive, send)
    return sent, given_on


@given(sizes=st.lists(st.integers(0, LIMIT), min_size=1, max_size=8))
async def test_a_body_is_refused_if_and_only_if_its_parts_are_together_over_the_limit(sizes: list[int]) -> None:
    sent, _ = await exchange([b"x" * size for size in sizes], [])
    assert [message["type"] for message in sent][:2] == ["http.response.start", "http.response.body"]
    assert [message.get("more_body", False) for message in sent[1:]][-1] is False
    assert sent[0]["status"] == (413 if sum(sizes) > LIMIT else 204)


@pytest.mark.parametrize(("length", "status"), [(LIMIT, 204), (LIMIT + 1, 413), (10**17, 413)])
async def test_a_length_that_is_declared_is_believed_before_a_byte_is_read(length: int, status: int) -> None:
    sent, given_on = await exchange([b"", b""], [(b"content-length", str(length).encode())])
    assert (sent[0]["status"], given_on) == (status, 0 if status == 413 else 1)
