"""Misconfiguration is told at start, with an id to look up."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution


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
    return problems
