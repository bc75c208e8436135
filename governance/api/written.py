"""By which revision the running request's answer is served: what it wrote, clients can ask for from any process."""

from contextvars import ContextVar

_revision: ContextVar[int | None] = ContextVar("written_revision", default=None)


def begin() -> None:
    """A request begins: it has written nothing yet."""
    _revision.set(None)


def revision() -> int | None:
    """The last revision that this request wrote; a fetch with it as `min_revision` sees what was written."""
    return _revision.get()


def note(revision: int) -> None:
    """Note a revision. A write that had nothing to change notes the one that it found: what it asks for is served
    since then, or longer."""
    _revision.set(revision)
