"""`manage.py watch` goes on over whatever passes, and ends where it would come to nothing."""

import io
import socket
import threading

import pytest
from django.core.management.base import CommandError

from promptops.management.commands.watch import Command


def follow(answer: bytes, **known: int) -> str:
    """What is told of a server that answers so, whatever it is asked."""
    told = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        options = {"url": url, "token": "t", "env": "prod", "workspace": None, "heartbeats": False}
        Command(stderr=told).follow(options, dict(known))
    return told.getvalue()


def refusal(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnot now" % status


@pytest.mark.parametrize("known", [{}, {"since": 3}], ids=["the first fetch", "the stream"])
class TestAServerThatRefuses:
    @pytest.mark.parametrize("status", [429, 502, 503])
    def test_is_asked_again_where_that_passes(self, known: dict[str, int], status: int) -> None:
        assert f"refused with {status}: not now, trying again" in follow(refusal(status), **known)

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_is_not_where_it_stays(self, known: dict[str, int], status: int) -> None:
        with pytest.raises(CommandError, match=f"refused with {status}: not now"):
            follow(refusal(status), **known)

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 20"])
    def test_is_asked_again_if_it_goes_away_in_the_middle(self, known: dict[str, int], answer: bytes) -> None:
        assert "trying again" in follow(answer, **known)
