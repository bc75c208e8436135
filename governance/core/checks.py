"""System checks: settings that make no sense together, or are not safe, are reported at start with an id to look up.

What a single variable may be is checked where it is read (promptops/environment.py).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution

#: The first words of the server's own addresses: a root path that begins with one would be ambiguous.
ADDRESSES = frozenset({"admin", "api", "health", "livez", "metrics", "readyz", "static", "ws"})


@register(Tags.security)
def debugging_is_off(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.DEBUG:
        return []
    return [
        Caution(
            "DEBUG is on: error pages of the admin show code and settings to everybody, and memory grows.",
            hint="Unset DEBUG wherever anybody else can reach this server.",
            id="promptops.W002",
        )
    ]


@register(Tags.security)
def the_data_folder_is_private(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    folder = Path(settings.DATA_DIR)
    if folder.stat().st_mode & 0o077 == 0:
        return []
    return [
        Caution(
            f"The data folder {folder} can be read by others on this machine: it has secrets and, maybe, the database.",
            hint="Give it mode 700, or set PROMPTOPS_DATA_DIR to a folder that is this server's alone.",
            id="promptops.W003",
        )
    ]


@register(Tags.database)
def limits_make_sense(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if settings.PROMPTOPS_MAX_CONTENT_BYTES <= settings.PROMPTOPS_MAX_BODY_BYTES:
        return []
    return [
        Error(
            "PROMPTOPS_MAX_CONTENT_BYTES is larger than PROMPTOPS_MAX_BODY_BYTES: no request could carry it.",
            id="promptops.E001",
        )
    ]


@register(Tags.urls)
def the_root_path_is_one(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    root = settings.PROMPTOPS_ROOT_PATH
    if not root or (re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", root) and root.split("/")[1] not in ADDRESSES):
        return []
    return [
        Error(
            "PROMPTOPS_ROOT_PATH is no path such as /promptops, or begins with an address of the server's own.",
            hint=f"It can't begin with {', '.join(f'/{word}' for word in sorted(ADDRESSES))}.",
            id="promptops.E010",
        )
    ]
