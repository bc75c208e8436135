"""Keeps the copy of one environment up to date. Subclasses do the I/O: one on asyncio, one in a thread.

The logic is written once, as coroutines. On asyncio they wait for I/O. In a thread their I/O blocks instead, so that
they never wait, and `run_blocking` runs them from start to end.
"""

import json
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from promptops_client._cache.copy import DiskCopy
from promptops_client._cache.pins import Pins
from promptops_client._cache.store import Entry, GapError, Store
from promptops_client._errors import EnvironmentNotFound, NotReady, PromptNotFound, PromptOpsError, Unauthorized
from promptops_client._models import Change, Prompt, State, Status
from promptops_client._wire import FINAL, LONGEST_WAIT, Answer, Backoff, LostError, Settings, from_promptops

logger = logging.getLogger("promptops_client")

T = TypeVar("T")

SILENCE = 15.0  # seconds without a frame: the server sends one at least every 5
STABLE = 5.0  # seconds that a stream has to live for the next attempt to be the first again
SAVE_AFTER = 1.0  # seconds from a change to the copy on disk, so that a burst is written once
BIG_ATTEMPTS = 6  # fetches of a big document, until the server process has read the change
BIG_PAUSE = 0.25  # seconds between them


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine whose I/O blocks, so that it never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("it waits, and there is no loop to wait on")


class Follower(ABC):
    """One environment: fetched once, then followed over the stream, or by polling while there is no stream.

    `notify` is called with each change of what is served.
    """

    def __init__(self, settings: Settings, env: str | None, notify: Callable[[Change], None]) -> None:
        self.settings = settings
        self.env = env
        self.store = Store()
        self.pins = Pins()
        self.settled = False  # whether the first fetch is over, successful or not
        self._notify = notify
        self._state: State = "starting"
        self._error: Exception | None = None
        self._refusal: PromptOpsError | None = None
        self._warned = False  # one warning for an outage is enough
        self._last_contact: float | None = None
        self._resync = False
        self._reload = True  # fetch the whole state before the next stream
        self._poll_at = math.inf
        self._backoff = Backoff()
        self._copy = DiskCopy(settings.cache_path(env))
        self._spare: Store | None = None  # of the copy on disk: used while the server can't be reached
        if saved := self._copy.read():
            self._spare, self.pins = saved

    # --- for clients ---

    def entry(self, key: str) -> Entry:
        """Raises PromptNotFound; NotReady or the server's refusal when nothing at all is known."""
        store = self.store if self.store.loaded or self._spare is None else self._spare
        entry = store.entries.get(key)
        if entry is not None:
            return entry
        if store.loaded:
            raise PromptNotFound(f"no prompt {key!r} is served in {store.env or self.env or 'this environment'}")
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)
        raise NotReady(f"nothing is known yet: {self._error or 'the server has not answered'}")

    async def pinned(self, key: str, version: str) -> Prompt:
        """Fetch a published version, which stays as it is while its prompt lives. Raises PromptOpsError."""
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)
        deletions = self.pins.deletions
        try:
            answer = await self._get(self.settings.prompt_url(key, self.env, version))
            if answer.status == 200:
                prompt = _prompt_of(answer)
                if deletions == self.pins.deletions:
                    self.pins.set((key, version), prompt)
                self._copy.schedule()
                return prompt
            failure = answer.failure()
        except LostError as lost:
            failure = lost
        if isinstance(failure, EnvironmentNotFound):
            raise PromptNotFound(f"no version {version!r} of {key!r} was published")
        if isinstance(failure, LostError):
            raise NotReady(f"version {version!r} of {key!r} could not be fetched: {failure}")
        raise failure

    def status(self) -> Status:
        store = self.store
        return Status(
            state=self._state,
            env=store.env or self.env,
            prompts=len(store.entries),
            revision=store.revision,
            source=store.source,
            last_contact=self._last_contact,
            error=str(self._error) if self._error is not None else None,
        )

    # --- following ---

    async def run(self) -> None:
        """Follow until it is stopped, or refused for good."""
        delay = 0.0
        try:
            while True:
                try:
                    await self._wait(delay)
                    await self._follow()
                except FINAL as refusal:
                    return self._refused(refusal)
                except Exception as error:  # of any kind: nothing may end the following
                    delay = self._lost(error)
        finally:
            if self._copy.due_at < math.inf:
                self._save()

    async def _follow(self) -> None:
        """Load the whole state, then keep it fresh over a stream. It ends only by an exception."""
        if self._reload or self._resync or not self.store.loaded:
            await self._load()
        await self._check_pins()
        self._settle()
        await self._save_if_due()
        url = self.settings.stream_url(self.env, since=self.store.revision, epoch=self.store.epoch)
        await self._connect(url)
        opened = time.monotonic()
        try:
            await self._listen()
        finally:
            if time.monotonic() - opened > STABLE:
                self._backoff.reset()
            await self._disconnect()

    async def _listen(self) -> None:
        silent_at, epoch = time.monotonic() + SILENCE, self.store.epoch
        while True:
            text = await self._receive(max(0.0, min(silent_at, self._copy.due_at) - time.monotonic()))
            if text is not None:
                silent_at = time.monotonic() + SILENCE
                self._last_contact = time.time()
                with from_promptops("a frame of the stream"):
                    frame = json.loads(text)
                    if frame["type"] == "hello":
                        epoch = frame["epoch"]
                        if frame["resumed"]:
                            self._is_streaming()
                    elif frame["type"] == "snapshot":
                        self._replace(frame["documents"], revision=frame["revision"], epoch=epoch, etag=None)
                        self._is_streaming()
                    elif "key" in frame:
                        await self._take(frame)
                await self._check_pins()
            elif time.monotonic() >= silent_at:
                raise LostError(f"nothing was heard for {SILENCE:.0f} s")
            await self._save_if_due()

    async def _take(self, frame: Mapping[str, Any]) -> None:
        document = frame["document"]
        if document is None and frame.get("etag") and frame["revision"] > self.store.revision:
            document = await self._fetch_big(frame)
        try:
            change = self.store.change(frame, document)
        except GapError as gap:
            raise LostError(str(gap), resync=True) from gap
        if change is not None:
            if change.type == "prompt.deleted":
                self.pins.forget(change.key)
            self._announce([change])

    async def _fetch_big(self, frame: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The document that is too big for a frame, as of the frame or later; None when it is gone by now."""
        gone = False
        for _ in range(BIG_ATTEMPTS):
            answer = await self._get(self.settings.prompt_url(frame["key"], self.env))
            gone = answer.says_not_found
            if answer.status == 200:
                document = answer.json()
                with from_promptops("the document"):
                    Prompt.of(document)
                if "variant" in document:
                    raise LostError("a rollout of a big document comes with a whole state only", resync=True)
                if answer.headers.get("etag") == frame["etag"] or (answer.revision or 0) >= frame["revision"]:
                    return document
            elif not gone:
                raise answer.failure()
            await self._sleep(BIG_PAUSE)
        if gone:
            return None
        raise LostError(f"the server does not serve revision {frame['revision']} yet")

    async def _load(self) -> None:
        """Fetch the whole state, unless it is as it was."""
        known = self.store if self.store.loaded else self._spare
        etag = known.etag if known is not None and not self._resync else None
        try:
            answer = await self._get(self.settings.listing_url(self.env), etag)
            if answer.status == 304 and known is not None:
                self.store = known
                known.revision = max(known.revision, answer.revision or 0)
                known.source = "server"
            elif answer.status == 200:
                self._take_listing(answer)
            else:
                raise answer.failure()
        except LostError:
            self._state = "offline"
            raise
        self._resync = self._reload = False
        self._last_contact = time.time()
        self._state = "polling"
        self._error = None

    def _take_listing(self, answer: Answer) -> None:
        body = answer.json()
        with from_promptops("the answer"):
            revision, epoch, env = answer.revision or int(body["revision"]), body["epoch"], body["env"]
            if self.store.is_behind(revision, epoch) and not self._resync:
                return
            self._replace(body["data"], revision=revision, epoch=epoch, etag=answer.headers.get("etag"))
        self.store.env = env

    def _replace(self, documents: Any, *, revision: int, epoch: str | None, etag: str | None) -> None:
        """Take over a whole state. Changes between it and the one before it may have gone unnoticed."""
        changes = self.store.replace(documents, revision=revision, epoch=epoch, etag=etag)
        self.pins.doubt()
        self._announce(changes)

    async def _check_pins(self) -> None:
        """Fetch each pinned version once more, since its prompt may have been deleted and made anew unnoticed."""
        if not self.pins.doubtful:
            return
        for pin in self.pins.all():
            key, version = pin
            answer = await self._get(self.settings.prompt_url(key, self.env, version))
            if answer.status == 200:
                self.pins.set(pin, _prompt_of(answer))
            elif answer.says_not_found:
                self.pins.drop(pin)
            else:
                raise answer.failure()
        self.pins.doubtful = False
        self._copy.schedule()

    async def _wait(self, delay: float) -> None:
        """Before the next attempt at a stream; fetches are polled meanwhile. A server that is back ends it early."""
        until = time.monotonic() + delay
        while (now := time.monotonic()) < until:
            await self._sleep(min(until, self._poll_at) - now)
            if time.monotonic() >= self._poll_at:
                was_offline = self._state == "offline"
                self._poll_at = self._next_poll()
                try:
                    await self._load()
                    await self._check_pins()
                except LostError as lost:
                    self._error = lost
                    self._poll_at = max(self._poll_at, time.monotonic() + min(lost.retry_after, LONGEST_WAIT))
                    continue
                await self._save_if_due()
                if was_offline:
                    return

    # --- state ---

    def _announce(self, changes: Iterable[Change]) -> None:
        if self._copy.due_at == math.inf:
            self._copy.schedule(SAVE_AFTER if self._state == "streaming" else 0.0)
        for change in changes:
            self._notify(change)

    def _is_streaming(self) -> None:
        if self._state != "streaming":
            logger.info("following %s from revision %d", self.store.env or self.env, self.store.revision)
        self._state, self._error, self._poll_at, self._warned = "streaming", None, math.inf, False

    def _lost(self, error: Exception) -> float:
        """Note the failure; returns the seconds to wait before the next attempt."""
        expected = isinstance(error, LostError)
        level = logging.DEBUG if expected and self._warned else logging.WARNING
        self._warned = True
        logger.log(level, "not following %s for now: %s", self.env or "prompts", error, exc_info=not expected)
        if self._state in {"streaming", "starting"}:
            self._state = "offline"
        self._error = error
        self._resync = self._resync or (error.resync if isinstance(error, LostError) else True)
        self._reload = self._reload or (isinstance(error, LostError) and error.ask)
        self._use_spare()
        self._settle()
        if self.store.loaded and self._poll_at == math.inf:
            self._poll_at = self._next_poll()
        return self._backoff.next(error.retry_after if isinstance(error, LostError) else 0.0)

    def _refused(self, refusal: PromptOpsError) -> None:
        logger.error("stopped following %s: %s", self.env or "prompts", refusal)
        self._error = self._refusal = refusal
        if isinstance(refusal, EnvironmentNotFound):
            self._state = "not_found"
        else:
            self._state = "unauthorized" if isinstance(refusal, Unauthorized) else "forbidden"
        self._use_spare()
        self._settle()

    def _next_poll(self) -> float:
        return time.monotonic() + self.settings.poll_interval * random.uniform(0.5, 1.0)  # noqa: S311  # no secret

    def _settle(self) -> None:
        if not self.settled:
            self.settled = True
            self._wake()

    # --- the copy on disk ---

    def _use_spare(self) -> None:
        """Serve the copy on disk while nothing else is known."""
        if not self.store.loaded and self._spare is not None:
            self.store = self._spare

    def _save(self) -> None:
        self._copy.write(self.store, self.pins)

    async def _save_if_due(self) -> None:
        if self._copy.due:
            await self._call(self._save)

    # --- I/O: each raises LostError or one of FINAL; a subclass may raise what ends it ---

    @abstractmethod
    async def _get(self, url: str, etag: str | None = None) -> Answer: ...

    @abstractmethod
    async def _connect(self, url: str) -> None: ...

    @abstractmethod
    async def _receive(self, seconds: float) -> str | None:
        """The next frame; None when there is none for so many seconds."""

    @abstractmethod
    async def _disconnect(self) -> None: ...

    @abstractmethod
    async def _sleep(self, seconds: float) -> None: ...

    @abstractmethod
    async def _call(self, function: Callable[[], None]) -> None:
        """Run something that blocks."""

    @abstractmethod
    def _wake(self) -> None:
        """The first fetch is over: wake the calls that wait for it."""


def _prompt_of(answer: Answer) -> Prompt:
    """Raises LostError for an answer that is no document."""
    document = answer.json()
    with from_promptops("the answer"):
        return Prompt.of(document)
