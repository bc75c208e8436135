"""The server under a path of another one, as `https://example.com/promptops/`, by the setting PROMPTOPS_ROOT_PATH.

Some proxies take the path off before they hand a request on, and some don't: both are fine. What stands before Django
(probes, the SDK's fetches, /ws) looks at addresses without the path; Django is told of it, so that its links have it.
"""

from collections.abc import Callable, Coroutine
from typing import Any

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Coroutine[Any, Any, None]]


def without(root: str, application: Application) -> Application:
    """`application`, asked for addresses without `root`, whether they come with it or not."""
    if not root:
        return application
    raw = root.encode()

    async def inner(scope: Scope, receive: Any, send: Any) -> None:
        path: str = scope.get("path", "")
        if path == root or path.startswith(f"{root}/"):
            told: bytes = scope.get("raw_path") or b""
            scope = {**scope, "path": path.removeprefix(root) or "/", "raw_path": told.removeprefix(raw) or b"/"}
        await application(scope, receive, send)

    return inner


def under(root: str, application: Application) -> Application:
    """`application` with `root` as its root path, as ASGI has it: `path` holds the whole path."""
    if not root:
        return application

    async def inner(scope: Scope, receive: Any, send: Any) -> None:
        await application({**scope, "root_path": root, "path": root + scope["path"]}, receive, send)

    return inner
