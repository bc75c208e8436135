"""What an environment serves, and what changed in it since a revision: for clients that come back."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from governance.models import Change, Environment
from governance.realtime import protocol

#: More changes than this are not replayed one by one: a snapshot costs less.
REPLAY_AT_MOST = 5_000

#: The texts of all documents that an environment serves. The app that serves them sets this when it starts.
provider: Callable[[Environment], list[str]] = lambda environment: []  # noqa: E731


@dataclass(frozen=True, slots=True)
class Backlog:
    """The frames that bring a client to `revision`: hello first."""

    revision: int
    texts: list[str]


def backlog(environment_id: uuid.UUID, *, since: int, epoch: str | None, drafts: bool) -> Backlog:
    """What a client that has seen `since` of `epoch` has missed.

    The head is read first: changes that come meanwhile are replayed or are in the snapshot, and never lost.
    """
    environment = Environment.objects.get(pk=environment_id)
    head = environment.revision
    replayed = _replay(environment, since, head) if epoch in (None, environment.epoch) else None
    resumed = replayed is not None
    hello = protocol.Hello(type="hello", revision=head, epoch=environment.epoch, resumed=resumed)
    texts = [protocol.encode(hello)]
    if replayed is None:
        return Backlog(head, [*texts, protocol.snapshot_text(head, provider(environment))])
    frames = [
        protocol.frame_of(change, workspace=environment.workspace_id, env=environment.name) for change in replayed
    ]
    wanted = (frame.draft_text if drafts else frame.text for frame in frames)
    texts += [text for text in wanted if text is not None]
    return Backlog(max([head, *(frame.revision for frame in frames)]), texts)


def _replay(environment: Environment, since: int, head: int) -> list[Change] | None:
    """Every change after `since`; None when some of them are kept no more, or `since` is not of this line at all."""
    if since == head:
        return []
    if since > head or head - since > REPLAY_AT_MOST:
        return None
    found = list(Change.objects.filter(environment=environment, revision__gt=since).order_by("revision"))
    return found if found and found[0].revision == since + 1 else None
