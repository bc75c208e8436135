"""The event loop of model calls: it has a thread of its own, so that reading an answer never delays a fetch or a frame.

Building a request and reading an answer take milliseconds. On the server's own event loop every socket would wait for
them.
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
from governance.core.db import briefly, on_thread

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_caller: ContextVar[Executor] = ContextVar("caller")


class _Selector(selectors.DefaultSelector):
    """Lets the loop take turns with the threads of requests: it gives up its turn while it waits for an event."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        with turns.waiting(first=True):
            return super().select(timeout)


def loop() -> asyncio.AbstractEventLoop:
    """This process's event loop for model calls. It is started when it is first needed, so that a fork has its own."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.SelectorEventLoop(_Selector())
            threading.Thread(target=turns.work, args=[_loop.run_forever], name="model-calls", daemon=True).start()
        return _loop


class Working(Generic[T]):
    """Work under way on the loop. A thread has to wait for it; another thread may take over the waiting."""

    def __init__(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> None:
        self._caller = _Caller()
        self._cancelled = False
        self._task: asyncio.Task[Any] | None = None
        token = _caller.set(self._caller)
        try:
            self._future = asyncio.run_coroutine_threadsafe(self._do(work, args), loop())
        finally:
            _caller.reset(token)
        self._future.add_done_callback(lambda _: self._caller.wake())

    async def _do(self, work: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]) -> T:
        self._task = asyncio.current_task()
        if self._cancelled:
            raise asyncio.CancelledError
        return await work(*args)

    def wait(self, timeout: float | None = None) -> bool:
        """Run here what the work passes to `on_caller`. Returns whether it was done within `timeout` seconds."""
        self._caller.serve(self._future, timeout)
        return self._future.done()

    def result(self) -> T:
        """Wait for the result. Raises what the work raised, and CancelledError if it was cancelled."""
        try:
            self.wait()
            result: T = self._future.result()
            return result
        except BaseException:
            self._future.cancel()
            raise

    def when_done(self, call: Callable[[], None]) -> None:
        """Have `call` called once the work is over, however it ends, on any thread."""
        self._future.add_done_callback(lambda _: call())

    def cancel(self) -> None:
        """Cancel the work, from any thread. It is over when it has cleaned up."""

        def stop() -> None:
            self._cancelled = True
            if self._task is not None:
                self._task.cancel()

        loop().call_soon_threadsafe(stop)


def run(work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """Do `work(*args)` on the loop; the calling thread waits, and runs what the work passes to `on_caller`."""
    return Working(work, *args).result()


async def on_caller(work: Callable[..., T], *args: Any) -> T:
    """Run blocking work, such as a query, on the thread that waits in `run`: in its transaction, if it is in one.

    In a Flow it runs on the thread that takes items from it.
    """
    return await asyncio.get_running_loop().run_in_executor(_caller.get(), work, *args)


async def to_the_end(work: Callable[..., T], *args: Any) -> T:
    """The same for database work that has to be done even if that thread waits no more: then on one of its own."""
    try:
        return await on_caller(briefly, work, *args)
    except RuntimeError:
        return await asyncio.to_thread(briefly, work, *args)


class EndedError(Exception):
    """The iterator has ended."""


class _Job:
    """Work that has to be done on another thread, and its result."""

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
    """Runs jobs on the thread that is in `serve`, which may be one thread first and another later."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        job = _Job(partial(fn, *args, **kwargs))
        self._jobs.put(job)
        return job.future

    def wake(self) -> None:
        self._jobs.put(None)

    def serve(self, until: "Future[Any]", timeout: float | None) -> None:
        """Run jobs until that is done, or `timeout` seconds are over."""
        end = None if timeout is None else monotonic() + timeout
        while not until.done():
            try:
                with turns.waiting():
                    job = self._jobs.get(timeout=None if end is None else max(0.0, end - monotonic()))
            except Empty:
                return
            if job is not None:
                job.run()


class _FlowExecutor(Executor):
    """Puts jobs among the items of a Flow. Once the Flow is closed, a job runs on a thread of its own."""

    def __init__(self, items: asyncio.Queue[Any]) -> None:
        self._items = items
        self._waiting: set[Future[Any]] = set()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        job = _Job(partial(fn, *args, **kwargs))
        if self._closed:
            threading.Thread(target=job.run, name="job-of-a-closed-flow", daemon=True).start()
            return job.future
        self._waiting.add(job.future)
        job.future.add_done_callback(self._waiting.discard)
        self._items.put_nowait(job)
        return job.future

    def close(self) -> None:
        self._closed = True
        for future in list(self._waiting):
            future.cancel()  # one that is being done is not stopped by that


class Flow(Generic[T]):
    """The items of an asynchronous iterator that runs on the loop, to be taken from a thread or from another loop.

    The iterator runs in one task from its start to its end, whichever thread takes its items.
    """

    def __init__(self, source: Callable[[], AsyncIterator[T]]) -> None:
        self._items: asyncio.Queue[tuple[bool, T | BaseException] | _Job] = asyncio.Queue()
        self._executor = _FlowExecutor(self._items)
        self._task = asyncio.run_coroutine_threadsafe(self._pump(source), loop())
        self._next: Future[Any] | None = None  # under way: a caller that stops waiting leaves it to the next

    async def _pump(self, source: Callable[[], AsyncIterator[T]]) -> None:
        _caller.set(self._executor)
        try:
            async for item in source():
                self._items.put_nowait((True, item))
            self._items.put_nowait((False, EndedError()))
        except BaseException as error:
            self._items.put_nowait((False, error))
            raise

    def take(self, within: float | None = None) -> T | None:
        """The next item, waited for on this thread; None when there is none within that many seconds.

        Raises what the iterator raised, EndedError at its end.
        """
        until = None if within is None else monotonic() + within
        while True:
            coming = self._coming()
            with turns.waiting():
                try:
                    item = coming.result(None if until is None else max(0.0, until - monotonic()))
                except TimeoutError:
                    return None
            self._next = None
            if not isinstance(item, _Job):
                return self._open(item)
            item.run()

    async def take_async(self) -> T:
        """The same from another event loop; what the iterator passes to `on_caller` runs on a request's thread."""
        while True:
            item = await asyncio.shield(asyncio.wrap_future(self._coming()))
            self._next = None
            if not isinstance(item, _Job):
                return self._open(item)
            await on_thread(item.run)

    def when_done(self, call: Callable[[], None]) -> None:
        """Have `call` called once the iterator has ended, however it does, on any thread."""
        self._task.add_done_callback(lambda _: call())

    def _coming(self) -> "Future[Any]":
        if self._next is None:
            self._next = asyncio.run_coroutine_threadsafe(self._items.get(), loop())
        return self._next

    def close(self) -> None:
        """Cancel the iterator: the provider's connection is closed with it."""
        loop().call_soon_threadsafe(self._executor.close)
        self._task.cancel()
        if self._next is not None:
            self._next.cancel()

    @staticmethod
    def _open(item: tuple[bool, Any]) -> T:
        is_item, value = item
        if not is_item:
            raise value
        result: T = value
        return result
