"""The run log: a run is opened before the call and closed whatever happens. Runs move no revision."""

import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal

from governance.actors import Actor
from governance.models import Run, RunStatus


@dataclass(slots=True)
class OpenRun:
    """A run under way. `id` is what answers carry as `run_id`. Its clock stops when it is closed."""

    id: uuid.UUID
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None

    @property
    def elapsed_ms(self) -> int:
        until = time.monotonic() if self.stopped is None else self.stopped
        return round((until - self.started) * 1000)

    def stop(self) -> None:
        """The work is done: what closing the run takes does not count. Only the first time matters."""
        self.stopped = self.stopped or time.monotonic()


def start(
    *,
    actor: Actor,
    workspace_id: str,
    source: str,
    ref_id: uuid.UUID | None = None,
    ref_key: str = "",
    environment: str = "",
    version: str = "",
    variant: str = "",
    provider: str = "",
    model: str = "",
) -> OpenRun:
    """Open a run; `source` is playground, agent or workflow, `ref_key` the key of what runs."""
    run = Run.objects.create(
        actor=actor.name,
        workspace_id=workspace_id,
        source=source,
        ref_id=ref_id,
        ref_key=ref_key,
        environment=environment,
        version=version,
        variant=variant,
        provider=provider,
        model=model,
    )
    return OpenRun(run.pk)


def finish(
    run: OpenRun,
    *,
    provider: str,
    model: str,
    prompt_tokens: int | None,
    output_tokens: int | None,
    cost_usd: Decimal | None = None,
) -> None:
    """Close a run that went well."""
    _close(
        run,
        status=RunStatus.OK,
        provider=provider,
        model=model,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        cost_usd=cost_usd,
    )


def fail(run: OpenRun, error: str, **known: object) -> None:
    """Close a run that failed; `known` are the fields that are known all the same, such as tokens spent so far."""
    _close(run, status=RunStatus.ERROR, error=error[:1000], **known)


def _close(run: OpenRun, **fields: object) -> None:
    run.stop()
    # Only a running run can be closed: a sweep that gave it up and the process that ran it can't both decide.
    Run.objects.filter(pk=run.id, status=RunStatus.RUNNING).update(latency_ms=run.elapsed_ms, **fields)
