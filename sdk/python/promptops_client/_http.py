"""One blocking GET, by the standard library: proxies and certificates as the machine has them."""

import encodings.idna  # noqa: F401  # else imported by the first request, maybe while another thread forks
import http.client
import time
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.error import HTTPError

from promptops_client._wire import VERSION, Answer, LostError

SILENCE = 10.0  # seconds that one read may take
AT_MOST = 60.0  # seconds that one answer may take


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: following one could carry the token to another host."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


@cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def get(url: str, headers: Mapping[str, str], *, etag: str | None = None, silence: float = SILENCE) -> Answer:
    """Raises LostError when there is no whole answer; any status is one."""
    request = urllib.request.Request(url, headers={**headers, "User-Agent": f"promptops-client/{VERSION}"})  # noqa: S310
    if etag is not None:
        request.add_header("If-None-Match", etag)
    deadline = time.monotonic() + AT_MOST
    try:
        try:
            response = _opener().open(request, timeout=silence)
        except HTTPError as error:  # has a status above 299, and is the response
            response = error
        with response:
            chunks = []
            while chunk := response.read1(1 << 16):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise LostError("the answer took too long")
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, b"".join(chunks))
    except (OSError, http.client.HTTPException) as error:
        raise LostError(f"no answer: {error}") from error
