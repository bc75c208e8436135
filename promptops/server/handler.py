"""Django behind ASGI, with each request on one thread from its first middleware to its last.

All our views and middleware are synchronous. Django's own handler makes a thread and a database connection anew for
each request and crosses between thread and event loop several times; this one takes a thread of a pool, whose
connection stays open, and crosses twice. Measured, it takes a quarter of the CPU
(docs/adr/0004-one-thread-a-request.md).
"""

import asyncio
import os
import re
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import DisallowedHost, RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http.request import HttpRequest, validate_host
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.urls import set_script_prefix

from governance.api.exceptions import json_error
from governance.core import turns
from governance.realtime.tail import leave_the_pool

# Static files come as synchronous streams, which are read on a thread as they should be.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]+)?")


class Request(ASGIRequest):
    def get_host(self) -> str:
        """The Host header, if it is one of those that are allowed.

        As Django's, but for the underscore: service names have it, and Django takes no such name even where all are
        allowed. Raises DisallowedHost.
        """
        host: str = self._get_raw_host()  # type: ignore[attr-defined]  # the stubs lack it
        found = _HOST.fullmatch(host.lower())
        allowed = settings.ALLOWED_HOSTS or ([".localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
        if found is None or not validate_host(found[1].removesuffix("."), allowed):
            raise DisallowedHost(f"the Host {host[:200]!r} is not one that this server answers to")
        return host


def _on_pool(
    respond: Callable[..., HttpResponseBase], threads: int, name: str, begin: Callable[[], None] | None = None
) -> Callable[..., Awaitable[HttpResponseBase]]:
    return sync_to_async(respond, thread_sensitive=False, executor=ThreadPoolExecutor(threads, name, begin))


def _let_go(request: HttpRequest, response: HttpResponseBase) -> None:
    """Cut the references between a request, its view and its answer, once the answer is written.

    They go in circles, so that all that belongs to a request would be left to the garbage collector, which now and then
    stops the whole process for a tenth of a second to find it. Without circles it is freed at once.
    """
    context: dict[str, Any] = getattr(response, "renderer_context", None) or {}
    for part in (context.get("view"), context.get("request"), request):
        if part is not None:
            vars(part).clear()
    context.clear()


class Handler(ASGIHandler):
    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        # Each run that is waited for may hold a thread (governance/runs/slots.py): those come on top.
        threads = settings.PROMPTOPS_THREADS + settings.PROMPTOPS_MAX_RUNS
        self._on_thread = _on_pool(partial(turns.work, self._respond), threads, "request")
        # What watches the server is answered on threads of its own, with connections of their own to the database: it
        # doesn't stand in line with the others, nor take a pool that is all in use for a database that is down.
        self._apart = _on_pool(self._respond, 2, "metrics", leave_the_pool)
        self._watched = f"{settings.PROMPTOPS_ROOT_PATH}/metrics"

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        try:
            on_thread = self._apart if scope["path"] == self._watched else self._on_thread
            response = await on_thread(scope, body)
            if isinstance(response, StreamingHttpResponse) and response.is_async:
                await self._send_while_wanted(response, receive, send)
            else:
                await self.send_response(response, send)
            response.close()
        finally:
            body.close()

    async def _send_while_wanted(self, response: StreamingHttpResponse, receive: Any, send: Any) -> None:
        """Send a stream for as long as its client is there: what makes it is stopped when they have gone."""
        async with ThreadSensitiveContext():  # a thread for what the stream has to do in the database
            sending = asyncio.ensure_future(self.send_response(response, send))
            leaving = asyncio.ensure_future(receive())  # the body was read: what comes now is the end
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                leaving.cancel()
                await asyncio.wait({sending, leaving})
            if not sending.cancelled():
                sending.result()

    def _respond(self, scope: dict[str, Any], body: Any) -> HttpResponseBase:
        """The whole request, and the end of its database connection's turn."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            try:
                request = Request(scope, body)
            except UnicodeDecodeError:
                return json_error(400, "the address is not UTF-8")
            if "CONTENT_LENGTH" not in request.META:  # a body in chunks, which Django and DRF would take for none
                request.META["CONTENT_LENGTH"] = str(body.seek(0, os.SEEK_END))
                body.seek(0)
            response = self.get_response(request)
            if not response.streaming:
                _let_go(request, response)
            return response
        finally:
            signals.request_finished.send(sender=self.__class__)
