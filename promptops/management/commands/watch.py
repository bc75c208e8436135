"""Follow an environment from the terminal: every change as it happens, also over a restart of the server."""

import json
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

#: Close codes that say: do not come back with this credential, or not there.
FINAL = {4401, 4403}


class Command(BaseCommand):
    help = "Print what changes in an environment, one JSON object a line, until you stop it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        host, port = settings.PROMPTOPS_HOST, settings.PROMPTOPS_PORT
        parser.add_argument("--url", default=f"http://{host}:{port}", help="the server's address")
        parser.add_argument("--token", default=settings.PROMPTOPS_TOKEN, help="else the static token")
        parser.add_argument("--env", default="prod")
        parser.add_argument("--workspace")
        parser.add_argument("--heartbeats", action="store_true", help="print them too")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["token"]:
            raise CommandError("give --token, or set PROMPTOPS_TOKEN")
        place: dict[str, Any] = {"namespace": options["env"], "client": "cli", "app": "manage.py watch"}
        if options["workspace"]:
            place["workspace"] = options["workspace"]
        try:
            while True:
                self.follow(options, place)
                time.sleep(1)
        except KeyboardInterrupt:
            return

    def follow(self, options: dict[str, Any], place: dict[str, Any]) -> None:
        """One connection, until it ends. `place` keeps how far we are, so that the next one goes on from there."""
        headers = {"Authorization": f"Bearer {options['token']}"}
        try:
            if "since" not in place:
                place |= begin(options, headers)
            address = f"{options['url'].replace('http', 'ws', 1)}/ws?{urlencode(place)}"
            with connect(address, additional_headers=headers, max_size=None) as socket:
                self.stderr.write(f"watching {options['env']} at {options['url']}")
                for text in socket:
                    frame = json.loads(text)
                    place["since"] = frame.get("revision", place["since"])
                    if "epoch" in frame:
                        place["epoch"] = frame["epoch"]
                    if frame["type"] not in {"hello", "heartbeat"} or options["heartbeats"]:
                        self.stdout.write(str(text))
                        self.stdout.flush()
                if socket.close_code in FINAL:
                    raise CommandError(f"closed with {socket.close_code}: this token may not watch there any more")
        except HTTPError as refused:
            self.refused(refused.code, refused.read())
        except InvalidStatus as refused:
            self.refused(refused.response.status_code, refused.response.body)
        except (OSError, ConnectionClosed, InvalidHandshake, HTTPException) as error:
            self.stderr.write(f"no connection ({error}), trying again")

    def refused(self, status: int, body: bytes | bytearray | None) -> None:
        """Raises CommandError unless it may go well a moment later: the server is busy, or begins anew."""
        message = f"refused with {status}: {_text(body)}"
        if status != 429 and status < 500:
            raise CommandError(message)
        self.stderr.write(f"{message}, trying again")


def begin(options: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """The revision to follow from. Without one a client gets no revisions, and misses changes between connections."""
    query = {"env": options["env"], **({"workspace": options["workspace"]} if options["workspace"] else {})}
    address = f"{options['url']}/api/sdk/prompts?{urlencode(query)}"
    asked = Request(address, headers=headers)  # noqa: S310  # the address that the operator gave
    with urlopen(asked, timeout=30) as answer:  # noqa: S310  # as above
        listed = json.load(answer)
    return {"since": listed["revision"], "epoch": listed["epoch"]}


def _text(body: bytes | bytearray | None) -> str:
    return bytes(body or b"").decode("utf-8", "replace")
