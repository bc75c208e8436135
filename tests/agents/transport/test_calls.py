"""The one HTTP call: what its errors say, and what they never say."""

import pytest
from pytest_django import Settings

from agents.transport import calls
from tests.agents.upstream import Upstream


@pytest.mark.parametrize(
    "secret",
    ["Bearer " + "s" * 600 + " ", "first  secretwords ", "secret\\words ", " secretwords"],
    ids=["longer than an error", "two spaces", "a backslash", "a space before"],
)
async def test_a_secret_that_no_header_can_carry_is_not_in_the_error(
    upstream: Upstream, settings: Settings, secret: str
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place]
    with pytest.raises(calls.UnansweredError, match="HTTP can't carry") as raised:
        await calls.call(
            "GET", upstream.base_url, headers={}, secrets={"X-Key": secret}, content=None, seconds=5, limit=1000
        )
    assert "ssss" not in raised.value.message
    assert "words" not in raised.value.message
    assert upstream.requests == []
