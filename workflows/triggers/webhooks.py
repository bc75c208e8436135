"""Webhooks: runs that start by a signed request from outside."""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from governance import audit
from governance.access.actors import ANONYMOUS, Actor
from governance.audit import bounded
from governance.core import ciphertext
from governance.core.db import conflict_of
from governance.core.errors import UnauthorizedError
from governance.core.models import changed
from governance.core.text import whole_number
from workflows.engine import actors
from workflows.models import Delivery, Trigger, Webhook, Workflow, WorkflowRun
from workflows.triggers import starting

#: Seconds by which the timestamp of a call may differ from the clock of this server.
TOLERANCE = 300


@transaction.atomic
def create_webhook(*, actor: Actor, workflow: Workflow, **values: Any) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is never shown again."""
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    webhook = Webhook(
        workflow=workflow,
        created_by=actor.name,
        bounds=actors.snapshot(actor),
        encrypted_secret=ciphertext.encrypt(secret),
        **values,
    )
    webhook.save(force_insert=True)
    starting.record(actor, webhook, "create", "Created", audit.created(**starting.state_of(webhook)))
    return webhook, secret


@transaction.atomic
def update_webhook(*, actor: Actor, webhook: Webhook, if_match: str | None = None, **values: Any) -> Webhook:
    """Change these fields. From now on its runs belong to the actor who changed it."""
    webhook = starting.lock(Webhook, webhook, if_match)
    differences = changed(webhook, values)
    if not differences:
        return webhook
    webhook.created_by, webhook.bounds = actor.name, actors.snapshot(actor)
    webhook.save_fields(*differences, "created_by", "bounds")
    starting.record(actor, webhook, "update", f"Changed {', '.join(differences)} of", differences)
    return webhook


@transaction.atomic
def delete_webhook(*, actor: Actor, webhook: Webhook, if_match: str | None = None) -> None:
    webhook = starting.lock(Webhook, webhook, if_match)
    starting.record(actor, webhook, "delete", "Deleted", audit.deleted(**starting.state_of(webhook)))
    webhook.delete()


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of `timestamp.body` as hexadecimal digits."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def receive(
    *, webhook_id: uuid.UUID, timestamp: str, signature: str, body: bytes, read: Callable[[], Any]
) -> WorkflowRun:
    """Start the run that a signed call asks for; its `input` is the body, which `read` makes of it.

    Raises UnauthorizedError for a wrong signature, an unknown webhook and one that is off, which look the same from
    outside; also for a call that is too old, or that was received before.
    """
    webhook = Webhook.objects.select_related("workflow").filter(pk=webhook_id, enabled=True).first()
    try:
        return _checked(webhook, timestamp, signature, body, read)
    except UnauthorizedError as error:
        _note_refusal(webhook, error.message)
        raise


def _checked(
    webhook: Webhook | None, timestamp: str, signature: str, body: bytes, read: Callable[[], Any]
) -> WorkflowRun:
    try:
        secret = ciphertext.decrypt(webhook.encrypted_secret) if webhook else secrets.token_urlsafe(32)
    except ciphertext.UnreadableError:
        secret = secrets.token_urlsafe(32)
    signature = signature.removeprefix("sha256=")
    right = hmac.compare_digest(signature_of(secret, timestamp, body).encode(), signature.encode("utf-8", "replace"))
    if webhook is None or not right:
        raise UnauthorizedError("invalid signature")
    seconds = whole_number(timestamp, digits=12)
    if seconds is None or abs(time.time() - seconds) > TOLERANCE:
        raise UnauthorizedError(f"the timestamp is over {TOLERANCE} seconds away from this server's clock")
    return _take(webhook, signature, read())


def _note_refusal(webhook: Webhook | None, reason: str) -> None:
    """Calls of unknown ids are counted together: made-up ids could fill the log otherwise."""
    bounded.record(
        actor=ANONYMOUS,
        action="refused",
        what=f"{webhook.pk if webhook else 'no webhook'}: {reason}",
        resource="webhook",
        resource_id=webhook.pk if webhook else "",
        key=webhook.name if webhook else "",
        summary=f"A call of {f'webhook {webhook.name}' if webhook else 'no known webhook'} was refused: {reason}",
        workspace_id=webhook.workflow.workspace_id if webhook else None,
    )


def _take(webhook: Webhook, signature: str, payload: Any) -> WorkflowRun:
    variables = {**webhook.variables, "input": payload}
    if isinstance(payload, Mapping):
        variables = {**webhook.variables, **payload, "input": payload}
    with starting.recording_failures(webhook), transaction.atomic():
        _refuse_second(webhook, signature)
        run = starting.start(webhook, Trigger.WEBHOOK, variables)
        Webhook.objects.filter(pk=webhook.pk).update(last_at=timezone.now(), last_run_id=run.pk, last_error="")
        return run


def _refuse_second(webhook: Webhook, signature: str) -> None:
    """Note the call, which may come once. Raises UnauthorizedError."""
    until = timezone.now() + timedelta(seconds=2 * TOLERANCE + 60)
    try:
        with transaction.atomic():
            Delivery.objects.create(webhook=webhook, signature=signature, forget_at=until)
    except IntegrityError as error:
        if conflict_of(error) == "taken":
            problem = "this call was taken already: sign each with the time that it is made at"
            raise UnauthorizedError(problem) from None
        raise
