"""Conversations with agents: their messages are stored here and sent to the model at the next turn.

Messages never come from a client. A session has one turn at a time; another one meanwhile is refused. Only a turn that
went well adds messages.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents.models import Agent, AgentMessage, AgentSession
from agents.providers.protocol import Message, Role, non_empty
from governance import audit
from governance.access.actors import Actor
from governance.core.errors import ConflictError, NotFoundError

#: How much of a conversation is kept: the last messages, and of these the last characters.
MAX_MESSAGES = 100
MAX_CHARACTERS = 200_000
#: Seconds beyond the longest time that a run may take, after which its turn counts as dead.
GRACE = 60
FORGOTTEN_AT_ONCE = 500
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn under way, in the session with the key `pk`. `history` are the messages before it."""

    id: uuid.UUID
    pk: uuid.UUID
    session_id: str
    history: Sequence[Message]


def own(actor: Actor, agent: Agent) -> QuerySet[AgentSession]:
    """The sessions with the agent that `actor` began; nobody else reads them or goes on with them."""
    return AgentSession.objects.filter(agent=agent, owner=actor.identity, turns__gt=0)


@transaction.atomic
def begin(*, actor: Actor, agent_id: uuid.UUID, session_id: str) -> Turn:
    """Begin a turn, and the session with it if there is none. Raises ConflictError while another turn is under way."""
    now = timezone.now()
    session, _ = AgentSession.objects.get_or_create(
        agent_id=agent_id, owner=actor.identity, session_id=session_id, defaults={"actor": actor.name}
    )
    turn, until = uuid.uuid4(), now + timedelta(seconds=settings.PROMPTOPS_AGENT_TIMEOUT + GRACE)
    free = AgentSession.objects.filter(Q(turn__isnull=True) | Q(turn_until__lt=now), pk=session.pk)
    if not free.update(turn=turn, turn_until=until, used_at=now):
        raise ConflictError(f"session {session_id} is at work on another turn; send the next one when that is over")
    messages = AgentMessage.objects.filter(session=session).order_by("id").values_list("role", "content")
    history = [Message(role=_ROLES[role], content=non_empty(content)) for role, content in messages]
    return Turn(id=turn, pk=session.pk, session_id=session_id, history=history)


@transaction.atomic
def remember(turn: Turn, *, question: str, answer: str, run_id: uuid.UUID) -> None:
    """End a turn that went well. A turn that was given up meanwhile, or whose session was deleted, changes nothing."""
    session = AgentSession.objects.select_for_update().filter(pk=turn.pk, turn=turn.id).first()
    if session is None:
        return
    for role, content in (("user", question), ("assistant", answer)):
        AgentMessage.objects.create(session=session, role=role, content=content, run_id=run_id)
    _trim(session)
    session.turn = session.turn_until = None
    session.turns += 1
    session.used_at = timezone.now()
    session.save(update_fields=["turn", "turn_until", "turns", "used_at"])


@transaction.atomic
def release(turn: Turn) -> None:
    """End a turn that failed: the session is as it was before; one that began with this turn is deleted."""
    sessions = AgentSession.objects.filter(pk=turn.pk, turn=turn.id)
    if not sessions.filter(turns=0).delete()[0]:
        sessions.update(turn=None, turn_until=None)


@transaction.atomic
def delete(*, actor: Actor, session: AgentSession) -> None:
    """Delete a conversation. A turn that is under way goes on, and its messages are not stored."""
    found = AgentSession.objects.select_for_update().select_related("agent").filter(pk=session.pk).first()
    if found is None:
        raise NotFoundError
    audit.record(
        actor=actor,
        action="delete",
        resource="agent_session",
        resource_id=found.pk,
        key=found.agent.key,
        summary=f"Deleted session {found.session_id} of agent {found.agent.key}",
        workspace_id=found.agent.workspace_id,
        changes=audit.deleted(session_id=found.session_id, actor=found.actor, turns=found.turns),
    )
    found.delete()


def forget() -> int:
    """Delete sessions that were not used for PROMPTOPS_AGENT_SESSION_DAYS; returns how many."""
    since = timezone.now() - timedelta(days=settings.PROMPTOPS_AGENT_SESSION_DAYS)
    over = list(AgentSession.objects.filter(used_at__lt=since).values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    if over:  # to delete nothing takes SQLite's write lock all the same
        AgentSession.objects.filter(pk__in=over).delete()
    return len(over)


def _trim(session: AgentSession) -> None:
    """Delete the oldest turns, whole ones, beyond what is kept."""
    newest = list(AgentMessage.objects.filter(session=session).order_by("-id").values_list("id", "content"))
    kept = characters = 0
    for number in range(0, len(newest), 2):
        characters += sum(len(content) for _, content in newest[number : number + 2])
        if kept and (characters > MAX_CHARACTERS or kept + 2 > MAX_MESSAGES):
            break
        kept += 2
    AgentMessage.objects.filter(pk__in=[pk for pk, _ in newest[kept:]]).delete()
