"""The event loop of model calls: a thread of its own, so that reading an answer never delays a fetch or a frame.

The packages behind a call parse, validate and copy for milliseconds at a time. On the server's own loop each of those
would stand in the way of every socket.
"""

import asyncio
import selectors
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

from governance.core import turns
from governance.core.db import on_thread

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_caller: ContextVar[Executor] = ContextVar("caller")


class _Selector(selectors.DefaultSelector):
    """The loop takes turns with the threads of requests: it leaves its own while it waits for what happens next."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        with turns.waiting(first=True):
            return super().select(timeout)


def loop() -> asyncio.AbstractEventLoop:
    """This process's loop for model calls; started when it is first needed, so that a fork has its own."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.SelectorEventLoop(_Selector())
            threading.Thread(target=turns.work, args=[_loop.run_forever], name="model-calls", daemon=True).start()
        return _loop


class Working(Generic[T]):
    """Work under way on the loop. A thread has to wait for it; another may go on with the waiting."""

    def __init__(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> None:
        self._caller = _Caller()
        self._cancelled = False
        self._task: asyncio.Task[Any] | None = None
        self._future = self._begin(self._do(work, args))

    def _begin(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        token = _caller.set(self._caller)
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop())
        finally:
            _caller.reset(token)
        future.add_done_callback(lambda _: self._caller.wake())
        return future

    async def _do(self, work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]) -> T:
        self._task = asyncio.current_task()
        if self._cancelled:
            raise asyncio.CancelledError
        return await work(*args)

    def wait(self, timeout: float | None = None) -> bool:
        """Do here what `on_caller` brings; whether the work was done within `timeout` seconds."""
        self._caller.serve(self._future, timeout)
        return self._future.done()

    def result(self) -> T:
        """Wait, and say what came of it. Raises what the work raised, and CancelledError if it was stopped."""
        try:
            self.wait()
            result: T = self._future.result()
            return result
        except BaseException:
            self._future.cancel()
            raise

    def do(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Do something else on the loop beside it; this thread waits for that, and does what both bring it."""
        future = self._begin(work(*args))
        self._caller.serve(future, None)
        future.result()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call that once the work is over, however it ends. On any thread."""
        self._future.add_done_callback(lambda _: call())

    def cancel(self) -> None:
        """Stop the work where it is; it is done when it has put its things in order. On any thread."""

        def stop() -> None:
            self._cancelled = True
            if self._task is not None:
                self._task.cancel()

        loop().call_soon_threadsafe(stop)


def run(work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """Do `work(*args)` on the loop; the calling thread waits, and does what `on_caller` brings it."""
    return Working(work, *args).result()


async def on_caller(work: Callable[..., T], *args: Any) -> T:
    """Blocking work, such as the database's, on the thread that waits in `run`: in its transaction, if it is in one.

    In a Flow it is done by whoever takes from it.
    """
    return await asyncio.get_running_loop().run_in_executor(_caller.get(), work, *args)


class EndedError(Exception):
    """There is nothing more to take."""


class _Errand:
    """Work of an iterator that has to be done on another thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._work())
        except BaseException as error:
            self.future.set_exception(error)


class _Caller(Executor):
    """Does what it is given on the thread that serves it, which may be one thread first and another later."""

    def __init__(self) -> None:
        self._given: SimpleQueue[_Errand | None] = SimpleQueue()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        errand = _Errand(partial(fn, *args, **kwargs))
        self._given.put(errand)
        return errand.future

    def wake(self) -> None:
        self._given.put(None)

    def serve(self, until: "Future[Any]", timeout: float | None) -> None:
        """Do what comes, until that is done or the time is over."""
        end = None if timeout is None else monotonic() + timeout
        while not until.done():
            try:
                with turns.waiting():
                    errand = self._given.get(timeout=None if end is None else max(0.0, end - monotonic()))
            except Empty:
                return
            if errand is not None:
                errand.run()


class _Errands(Executor):
    """Puts work among what a Flow makes. When nobody takes it any more, it is done on a thread of its own."""

    def __init__(self, made: asyncio.Queue[Any]) -> None:
        self._made = made
        self._waiting: set[Future[Any]] = set()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        errand = _Errand(partial(fn, *args, **kwargs))
        if self._closed:
            threading.Thread(target=errand.run, name="errand", daemon=True).start()
            return errand.future
        self._waiting.add(errand.future)
        errand.future.add_done_callback(self._waiting.discard)
        self._made.put_nowait(errand)
        return errand.future

    def close(self) -> None:
        self._closed = True
        for future in list(self._waiting):
            future.cancel()  # one that is being done is not stopped by that


class Flow(Generic[T]):
    """What an asynchronous iterator makes on the loop, to be taken from a thread or from another loop.

    The iterator runs in one task from its start to its end, whoever takes what it makes.
    """

    def __init__(self, source: Callable[[], AsyncIterator[T]]) -> None:
        self._made: asyncio.Queue[tuple[bool, T | BaseException] | _Errand] = asyncio.Queue()
        self._errands = _Errands(self._made)
        self._task = asyncio.run_coroutine_threadsafe(self._pump(source), loop())
        self._next: Future[Any] | None = None  # under way: a caller that stops waiting leaves it to the next

    async def _pump(self, source: Callable[[], AsyncIterator[T]]) -> None:
        _caller.set(self._errands)
        try:
            async for item in source():
                self._made.put_nowait((True, item))
            self._made.put_nowait((False, EndedError()))
        except BaseException as error:
            self._made.put_nowait((False, error))
            raise

    def take(self, within: float | None = None) -> T | None:
        """The next item, waited for on this thread; None when there is none within so many seconds.

        Raises what the iterator raised, EndedError at its end.
        """
        until = None if within is None else monotonic() + within
        while True:
            coming = self._coming()
            with turns.waiting():
                try:
                    made = coming.result(None if until is None else max(0.0, until - monotonic()))
                except TimeoutError:
                    return None
            self._next = None
            if not isinstance(made, _Errand):
                return self._open(made)
            made.run()

    async def take_async(self) -> T:
        """The same from another event loop; what `on_caller` brings is done on a request's thread."""
        while True:
            made = await asyncio.shield(asyncio.wrap_future(self._coming()))
            self._next = None
            if not isinstance(made, _Errand):
                return self._open(made)
            await on_thread(made.run)

    def when_done(self, call: Callable[[], None]) -> None:
        """Call that once the iterator has ended, however it does. On any thread."""
        self._task.add_done_callback(lambda _: call())

    def _coming(self) -> "Future[Any]":
        if self._next is None:
            self._next = asyncio.run_coroutine_threadsafe(self._made.get(), loop())
        return self._next

    def close(self) -> None:
        """End the iterator, wherever it is: the provider's connection is closed with it."""
        loop().call_soon_threadsafe(self._errands.close)
        self._task.cancel()
        if self._next is not None:
            self._next.cancel()

    @staticmethod
    def _open(made: tuple[bool, Any]) -> T:
        fine, item = made
        if not fine:
            raise item
        result: T = item
        return result
