"""Misconfiguration is told at start, with an id to look up."""

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution

#: The first words of the server's own addresses: a root path that begins with one could not be told from it.
ADDRESSES = frozenset({"admin", "api", "health", "livez", "metrics", "readyz", "static", "ws"})


@register(Tags.security)
def tokens_are_strong(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    token = settings.PROMPTOPS_TOKEN
    if token and len(token) < 16:
        return [
            Caution(
                "PROMPTOPS_TOKEN is shorter than 16 characters: it is an admin's credential and can be guessed.",
                hint="Use at least 32 random characters, or leave it unset and let quickstart make one.",
                id="promptops.W001",
            )
        ]
    return []


@register(Tags.database)
def limits_make_sense(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    problems: list[CheckMessage] = []
    if settings.PROMPTOPS_MAX_CONTENT_BYTES > settings.PROMPTOPS_MAX_BODY_BYTES:
        problems.append(
            Error(
                "PROMPTOPS_MAX_CONTENT_BYTES is larger than PROMPTOPS_MAX_BODY_BYTES: no request could carry it.",
                id="promptops.E001",
            )
        )
    if not 0 < settings.PROMPTOPS_TICK_SECONDS <= 1:
        problems.append(
            Error(
                "PROMPTOPS_TICK_SECONDS has to be above 0 and at most 1: changes are promised within a second.",
                id="promptops.E002",
            )
        )
    root = settings.PROMPTOPS_ROOT_PATH
    if root and (not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", root) or root.split("/")[1] in ADDRESSES):
        problems.append(
            Error(
                "PROMPTOPS_ROOT_PATH is no path such as /promptops, or begins with an address of the server's own.",
                hint=f"It can't begin with {', '.join(f'/{word}' for word in sorted(ADDRESSES))}.",
                id="promptops.E010",
            )
        )
    return problems
