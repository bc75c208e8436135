"""The protocol's decisions, pure: addresses, what an answer or a close code means, how long to wait."""

import contextlib
import json
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from promptops_client._cache import disk
from promptops_client._errors import (
    ConfigurationError,
    EnvironmentNotFound,
    Forbidden,
    PromptOpsError,
    Unauthorized,
)

VERSION = "0.1.0"
#: What is final: coming back with the same credential would be refused again.
FINAL = (Unauthorized, Forbidden, EnvironmentNotFound)
#: How a stream is opened. No pings: the server's heartbeats show that it is alive. A snapshot may be of any size.
STREAM: dict[str, Any] = {
    "compression": None,
    "max_size": None,
    "ping_interval": None,
    "open_timeout": 10.0,
    "close_timeout": 1.0,
    "user_agent_header": f"promptops-client/{VERSION}",
}
LONGEST_WAIT = 60.0  # seconds, whatever a server says in Retry-After


class LostError(Exception):
    """It did not work this time. `resync`: start anew from a whole state; `ask`: fetch before the next stream."""

    def __init__(self, reason: str, *, retry_after: float = 0.0, resync: bool = False, ask: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.resync = resync
        self.ask = ask


@contextlib.contextmanager
def from_promptops(what: str) -> Iterator[None]:
    """Read what a PromptOps server sends. Raises LostError where it turns out to be something else."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LostError(
            f"{what} is not as PromptOps sends it ({type(error).__name__}: {error}): is base_url a PromptOps server?"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The server's address, the API key, and how long to wait for what. Times are in seconds."""

    base_url: str
    api_key: str = field(repr=False)
    workspace: str | None
    app: str
    cache_dir: Path | None
    start_timeout: float
    poll_interval: float

    @classmethod
    def of(
        cls,
        *,
        base_url: str | None,
        api_key: str | None,
        workspace: str | None,
        app: str | None,
        cache_dir: str | os.PathLike[str] | Literal[False] | None,
        start_timeout: float,
        poll_interval: float,
    ) -> "Settings":
        """What is None comes from environment variables. Raises ConfigurationError."""
        base_url = (base_url or os.environ.get("PROMPTOPS_BASE_URL", "")).strip().rstrip("/")
        base_url = base_url.removesuffix("/api").rstrip("/")  # the API's own address is meant as the server's
        api_key = (api_key or os.environ.get("PROMPTOPS_API_KEY", "")).strip()
        if not base_url or not api_key:
            missing = "base_url (or PROMPTOPS_BASE_URL)" if not base_url else "api_key (or PROMPTOPS_API_KEY)"
            raise ConfigurationError(f"{missing} is not set")
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise ConfigurationError(f"base_url must be like https://host, not {base_url!r}")
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("api_key has characters that no token has")
        if start_timeout < 0 or poll_interval <= 0:
            raise ConfigurationError("start_timeout must be 0 or more, and poll_interval more than 0")
        return cls(
            base_url=base_url,
            api_key=api_key,
            workspace=workspace or os.environ.get("PROMPTOPS_WORKSPACE") or None,
            app=app if app is not None else os.environ.get("PROMPTOPS_APP", ""),
            cache_dir=_folder(cache_dir),
            start_timeout=start_timeout,
            poll_interval=poll_interval,
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def cache_path(self, env: str | None) -> Path | None:
        if self.cache_dir is None:
            return None
        return self.cache_dir / disk.name_of(
            base_url=self.base_url, workspace=self.workspace, env=env, api_key=self.api_key
        )

    def listing_url(self, env: str | None) -> str:
        return f"{self.base_url}/api/sdk/prompts{_query(env=env, workspace=self.workspace)}"

    def prompt_url(self, key: str, env: str | None, version: str | None = None) -> str:
        query = _query(env=env, workspace=self.workspace, version=version)
        return f"{self.base_url}/api/sdk/prompts/{quote(key)}{query}"

    def stream_url(self, env: str | None, *, since: int, epoch: str | None) -> str:
        """The token goes in a header, not in here."""
        query = _query(
            namespace=env, workspace=self.workspace, client="python-sdk", app=self.app, since=since, epoch=epoch
        )
        return f"ws{self.base_url[4:]}/ws{query}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def revision(self) -> int | None:
        value = self.headers.get("x-promptops-revision", "")
        return int(value) if value.isdecimal() else None

    def json(self) -> dict[str, Any]:
        """Raises LostError for what is no JSON object: cut off, or not from PromptOps."""
        try:
            content = json.loads(self.body)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise LostError("the answer is no JSON object: is base_url a PromptOps server?")
        return content

    @property
    def refusal(self) -> str:
        """The `code` of an error that PromptOps itself sent, else nothing.

        A proxy, a firewall or a login page in front of it answers 401, 403 and 404 too, and says nothing about this
        api_key or about prompts by that.
        """
        try:
            content = self.json()
        except LostError:
            return ""
        code = content.get("code")
        return code if isinstance(code, str) and isinstance(content.get("error"), str) else ""

    @property
    def says_not_found(self) -> bool:
        return self.status == 404 and self.refusal == "not_found"

    def failure(self) -> PromptOpsError | LostError:
        """What an answer other than the wanted one means."""
        match self.status, self.refusal:
            case 401, "unauthorized":
                return Unauthorized("the server does not accept this api_key (any more)")
            case 403, "forbidden":
                return Forbidden("this api_key may not read there")
            case 404, "not_found":
                return EnvironmentNotFound("there is no such environment or workspace for this api_key")
        wait = self.headers.get("retry-after", "")
        reason = f"the server answered {self.status}"
        if 300 <= self.status < 400:
            reason += f", a redirect to {self.headers.get('location', 'nowhere')}: base_url has to be the server's own"
        elif not self.refusal:
            reason += ", and not as PromptOps does: something in front of it, or another server"
        return LostError(reason, retry_after=float(wait) if wait.isdecimal() else 0.0)


def refused_handshake(status: int) -> LostError:
    """A stream was not opened. The body of the next fetch shows who refused it, and whether for good."""
    return LostError(f"the stream was refused with {status}", ask=True)


def closed_stream(code: int) -> PromptOpsError | LostError:
    """What a close code means."""
    if code == 4401:
        return Unauthorized("this api_key was revoked or has expired")
    if code == 4403:
        return Forbidden("this api_key may not look there any more, or the environment is gone")
    return LostError(f"the stream was closed with {code}", resync=code == 4409)


class Backoff:
    """Full jitter under a bound that doubles: clients that lost a server together don't come back together."""

    def __init__(self, first: float = 1.0, most: float = 30.0) -> None:
        self._first, self._most, self._bound = first, most, first

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait before the next attempt."""
        jitter = random.uniform(0, self._bound)  # noqa: S311  # no secret
        self._bound = min(self._most, self._bound * 2)
        return min(at_least, LONGEST_WAIT) + jitter

    def reset(self) -> None:
        self._bound = self._first


def _query(**words: str | int | None) -> str:
    parameters = {name: value for name, value in words.items() if value is not None and value != ""}
    return f"?{urlencode(parameters)}" if parameters else ""


def _folder(cache_dir: str | os.PathLike[str] | Literal[False] | None) -> Path | None:
    if cache_dir is False:
        return None
    if cache_dir is not None:
        return Path(cache_dir)
    try:
        return disk.default_folder()
    except RuntimeError:  # no home
        return None
