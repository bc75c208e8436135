"""A model call as a run: opened before, closed whatever happens, with no database connection held meanwhile."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection

from agents.providers import client
from agents.providers.base import Completion, ModelCall
from governance import runs
from governance.actors import Actor
from governance.errors import DomainError, InvalidInputError
from prompts.rendering import Rendered, TooLongError, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a run is of, as the run log names it."""

    source: str
    workspace_id: str
    ref_id: uuid.UUID | None = None
    ref_key: str = ""
    environment: str = ""
    version: str = ""
    variant: str = ""


def render_strictly(template: str, variables: Mapping[str, Any], *, strict: bool) -> Rendered:
    """Render. Raises InvalidInputError for a text over the limit of a request, and with `strict` for lacking values."""
    limit = settings.PROMPTOPS_MAX_BODY_BYTES
    try:
        rendered = render(template, variables, limit=limit)
    except TooLongError:
        raise InvalidInputError.of("variables", f"with them the text would have over {limit} characters") from None
    if strict and rendered.missing:
        names = ", ".join(rendered.missing)
        raise InvalidInputError(f"variables: there is no value for {names}", fields={"variables": rendered.missing})
    return rendered


def complete(call: ModelCall) -> Completion:
    """Make the call from a synchronous view. It runs on the event loop; this thread waits, and holds no connection."""
    client.warm_up()
    if not connection.in_atomic_block:
        connection.close()
    return async_to_sync(client.complete)(call)


def run(*, actor: Actor, subject: Subject, call: ModelCall, rendered: Rendered) -> dict[str, Any]:
    """Run a prompt on a model; the answer is the contract's (section 7).

    Raises ProviderError with `rendered` and `run_id` in its body, so that a failed run can be looked up.
    """
    client.warm_up()  # before the clock starts
    opened = runs.start(
        actor=actor,
        source=subject.source,
        workspace_id=subject.workspace_id,
        ref_id=subject.ref_id,
        ref_key=subject.ref_key,
        environment=subject.environment,
        version=subject.version,
        variant=subject.variant,
        provider=call.provider.name,
        model=call.model,
    )
    try:
        completion = complete(call)
    except DomainError as error:
        runs.fail(opened, error.message)
        error.extra.update(rendered=rendered.text, run_id=str(opened.id))
        raise
    except BaseException as error:
        runs.fail(opened, f"internal error: {type(error).__name__}")
        raise
    runs.finish(
        opened,
        provider=call.provider.name,
        model=completion.model,
        prompt_tokens=completion.prompt_tokens,
        output_tokens=completion.output_tokens,
    )
    return {
        "rendered": rendered.text,
        "missing": rendered.missing,
        "result": result_of(call, completion, latency_ms=opened.elapsed_ms),
        "run_id": str(opened.id),
    }


def result_of(call: ModelCall, completion: Completion, *, latency_ms: int) -> dict[str, Any]:
    return {
        "provider": call.provider.name,
        "model": completion.model,
        "output": completion.output,
        "prompt_tokens": completion.prompt_tokens,
        "output_tokens": completion.output_tokens,
        "cost_usd": None,
        "latency_ms": latency_ms,
        "finish_reason": completion.finish_reason,
    }
