"""Settings from the environment, each read as what it has to be.

A value that can't be used is reported in one sentence that names the variable and says what was expected. All of them
are reported at once by `refuse_what_means_nothing`, before anything is migrated or served.
"""

import ipaddress
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import SplitResult, urlsplit

import environ

from promptops import secrets

T = TypeVar("T")
N = TypeVar("N", int, float)

# The class below has methods of these names, so that in it they can't be called what they are.
Text: TypeAlias = str
Whole: TypeAlias = int
Number: TypeAlias = float
Flag: TypeAlias = bool
Words: TypeAlias = list[str]

YES, NO = {"true", "yes", "on", "1", "y", "t", "ok"}, {"false", "no", "off", "0", "n", "f", ""}
DATABASES = {"sqlite", "postgres", "postgresql", "psql", "pgsql"}


class Environment:
    """What the variables say. A value that can't be used is noted in `problems`, and the default stands in for it."""

    def __init__(self, variables: Mapping[Text, str] = os.environ) -> None:
        self.variables = variables
        self.problems: Words = []

    def refuse_what_means_nothing(self) -> None:
        """End the process with a sentence for each problem, if there are any."""
        if self.problems:
            sys.exit("\n".join(self.problems))

    def note(self, name: Text, expected: Text) -> None:
        """Note a problem of `name`. The value itself is not shown: it may be a secret."""
        self.problems.append(f"{name}: expected {expected}.")

    def _text(self, name: Text) -> Text:
        return self.variables.get(name, "").strip()

    def _read(self, name: Text, default: T, read: Callable[[Text], T], expected: Text) -> T:
        text = self._text(name)
        if not text:
            return default
        try:
            return read(text)
        except ValueError:
            self.note(name, expected)
            return default

    def str(self, name: Text, default: Text = "") -> Text:
        """The text, white space around it left out."""
        return self._text(name) or default

    def secret(self, name: Text) -> Text:
        """A credential, which must not be one that can be guessed."""
        text = self._text(name)
        if text and (weakness := secrets.weakness_of(text)):
            self.note(name, f"a secret that nobody can guess, such as 32 random characters, but this one {weakness}")
        return text

    def token(self, name: Text) -> Text:
        """A credential that is sent in a header."""
        text = self.secret(name)
        if not text.isascii() or not text.isprintable() or " " in text or len(text) > 512:
            self.note(name, "at most 512 letters, digits and signs of ASCII, without a space")
        return text

    def bool(self, name: Text, default: Flag = False) -> Flag:
        def read(text: Text) -> Flag:
            if text.lower() not in YES | NO:
                raise ValueError
            return text.lower() in YES

        return self._read(name, default, read, "true or false")

    def int(self, name: Text, default: Whole, *, least: Whole = 1, most: Whole = 10**12) -> Whole:
        def read(text: Text) -> Whole:
            return _bounded(Whole(text), min(least, default), most)

        return self._read(name, default, read, f"a whole number from {min(least, default)} to {most}")

    def float(self, name: Text, default: Number, *, least: Number = 0.001, most: Number = 10**9) -> Number:
        """Bounds are inclusive; neither infinity nor a thing that is no number is within any."""

        def read(text: Text) -> Number:
            return _bounded(Number(text), min(least, default), most)

        return self._read(name, default, read, f"a number from {min(least, default):g} to {most:g}")

    def choice(self, name: Text, default: Text, choices: Collection[Text]) -> Text:
        def read(text: Text) -> Text:
            found = next((choice for choice in choices if choice.lower() == text.lower()), None)
            if found is None:
                raise ValueError
            return found

        return self._read(name, default, read, f"one of {', '.join(sorted(choices))}")

    def list(
        self,
        name: Text,
        default: Collection[Text] = (),
        *,
        each: Callable[[Text], Text] = lambda item: item,
        expected: Text = "words separated by commas",
    ) -> Words:
        """Words separated by commas, each checked by `each`, which raises ValueError."""

        def read(text: Text) -> Words:
            return [each(item.strip()) for item in text.split(",") if item.strip()]

        return self._read(name, Words(default), read, expected)

    def database(self, name: Text, default: Text) -> dict[Text, Any]:
        """Django's settings of a database, from its address."""

        def read(text: Text) -> dict[Text, Any]:
            parts = _split(text)
            if parts.scheme not in DATABASES:
                raise ValueError
            found: dict[Text, Any] = environ.Env.db_url_config(text)
            if not found["NAME"]:
                raise ValueError  # a host may be left out: there are sockets in the file system
            return found

        expected = "an address such as postgres://user:password@host:5432/name or sqlite:////path/to/file"
        return self._read(name, environ.Env.db_url_config(default), read, expected)

    def redis(self, name: Text) -> Text:
        def read(text: Text) -> Text:
            parts = _split(text)
            if parts.scheme not in {"redis", "rediss", "unix"} or not (parts.hostname or parts.path):
                raise ValueError
            return text

        return self._read(name, "", read, "an address such as redis://host:6379/0")

    def site(self, name: Text) -> SplitResult | None:
        """The address of a site: a scheme and a host, maybe a port."""
        return self._read(name, None, lambda text: _split(origin(text.rstrip("/"))), "an address such as https://host")

    def proxies(self, name: Text, default: Text) -> Words:
        """Addresses and networks, each also as a socket of IPv6 shows one of IPv4."""
        expected = "addresses and networks separated by commas, such as 10.0.0.7,192.168.0.0/16"
        return [
            shape
            for item in self.list(name, default.split(","), each=network, expected=expected)
            for shape in _shapes(item)
        ]

    def base_urls(self) -> None:
        """Look at PROMPTOPS_<PROVIDER>_BASE_URL, which the providers read when they are called."""
        for name, value in self.variables.items():
            if name.startswith("PROMPTOPS_") and name.endswith("_BASE_URL") and value.strip():
                try:
                    parts = _split(value.strip())
                except ValueError:
                    parts = SplitResult("", "", "", "", "")
                if parts.scheme not in {"http", "https"} or not parts.hostname:
                    self.note(name, "an address such as https://host/v1")


def origin(text: str) -> str:
    """`scheme://host[:port]`, as a browser says where a page is from. Raises ValueError."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError
    if parts.path or parts.query or parts.fragment:
        raise ValueError
    return text


def origin_or_all(text: str) -> str:
    return text if text == "*" else origin(text)


def host_and_port(text: str) -> str:
    """`host:port`. Raises ValueError."""
    parts = _split(f"//{text}")
    if not parts.hostname or parts.port is None or parts.path or parts.username is not None:
        raise ValueError
    return text


def host(text: str) -> str:
    """A host name, also one with a dot or a star before it, that stands for more. Raises ValueError."""
    if any(character in text for character in "/@ ") or (":" in text and not text.startswith("[")):
        raise ValueError
    return text


def network(text: str) -> str:
    """An address, or a network of them. Raises ValueError."""
    return str(ipaddress.ip_network(text, strict=False)) if "/" in text else str(ipaddress.ip_address(text))


def _shapes(item: str) -> list[str]:
    found = ipaddress.ip_network(item)
    if found.version == 6:
        return [item]
    return [item, f"::ffff:{found.network_address}/{96 + found.prefixlen}"]


def _bounded(value: N, least: N, most: N) -> N:
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError
    return value


def _split(text: str) -> SplitResult:
    """Raises ValueError also for a port that is none, which urlsplit finds out when it is asked."""
    parts = urlsplit(text)
    if any(character.isspace() for character in text):
        raise ValueError
    if parts.port == 0:
        raise ValueError
    return parts
