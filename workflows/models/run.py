"""Runs of workflows and what each attempt at a step came to: what the API and the admin show, and what a run goes on
from when the process that ran it is gone."""

import json
from typing import Any, ClassVar

from django.db import models

from governance.api.parsing import unstorable


class EncodedJSON(str):
    """A JSON value that is encoded already, for an ExactJSON column."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> "EncodedJSON | None":
        """None for no value, as in the column. Raises TypeError, ValueError or RecursionError for what is not JSON."""
        if value is None:
            return None
        text = json.dumps(value, ensure_ascii=False)
        return cls(json.dumps(value) if unstorable(text) else text)


class ExactJSON(models.TextField):  # type: ignore[type-arg]  # it holds any JSON value
    """A JSON value that reads back just as it was written.

    A jsonb column sorts the names in objects, rewrites numbers, and refuses NUL; a step that was done must not come out
    otherwise when it is recalled.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return value if isinstance(value, EncodedJSON) else EncodedJSON.of(value)

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))


class RunState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


#: The states of a run that is not over.
ACTIVE = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)


class Trigger(models.TextChoices):
    API = "api", "API"
    SCHEDULE = "schedule", "Schedule"
    WEBHOOK = "webhook", "Webhook"


class WorkflowRun(models.Model):
    """A run with the definition that it started with. Its id is that of its entry in the run log.

    Its `status` is changed by workflows/engine/transitions.py and nothing else.

    A run is executed in segments: the first from its start, each further one from where the run goes on, until it ends
    or has to wait. `segment` is the number of the present one. A process executes a segment by a lease: `owner` is the
    process, and `fencing_token` counts the leases. Every write of the process is conditional on its token, so that a
    process that was taken for dead and comes back writes nothing.

    `dispatched`: the queue has this segment. `crash_count`: how many processes died since the last step that ended.
    It has no foreign keys, so that it outlives what it speaks of.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "bounds__environment"
    owner_path: ClassVar[str] = "actor_identity"

    id = models.UUIDField(primary_key=True, editable=False)
    workspace_id = models.CharField(max_length=36)
    workflow_id = models.UUIDField()
    key = models.CharField(max_length=200)
    version = models.CharField(max_length=64, blank=True)
    definition = ExactJSON(null=True)
    variables = ExactJSON(null=True)
    strict = models.BooleanField(default=False)
    unit = models.CharField(max_length=500, null=True)  # noqa: DJ001  # nobody is not the same as ""
    actor = models.CharField(max_length=200)
    actor_identity = models.CharField(max_length=50, blank=True, help_text="The identity of who it is of.")
    bounds = models.JSONField(help_text="Who started it, and what that one could do then.")
    own_call = models.BooleanField(
        default=False, help_text="It has a key or an address of its own, which only the process where it began knows."
    )
    trigger = models.CharField(max_length=8, choices=Trigger.choices, default=Trigger.API)
    trigger_id = models.UUIDField(null=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    body_digest = models.CharField(max_length=64, blank=True)

    status = models.CharField(max_length=9, choices=RunState.choices, default=RunState.QUEUED)
    output = ExactJSON(null=True)
    outputs = ExactJSON(null=True, help_text="By name, where the workflow declares some.")
    error = models.TextField(blank=True)
    code = models.CharField(max_length=50, blank=True)
    segment = models.PositiveIntegerField(default=1, db_column="leg")
    fencing_token = models.PositiveIntegerField(default=0, db_column="claim")
    owner = models.UUIDField(null=True)
    dispatched = models.BooleanField(default=False)
    crash_count = models.PositiveSmallIntegerField(default=0, db_column="deaths")
    waits_for = models.CharField(max_length=500, blank=True, help_text="The path of the step that it waits at.")
    due_at = models.DateTimeField(null=True, help_text="When it goes on by itself.")
    deadline = models.DateTimeField(help_text="When it is given up, whatever it waits for.")
    worked_ms = models.PositiveIntegerField(default=0, help_text="Without the time that it waited.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    forget_at = models.DateTimeField(null=True, help_text="When its texts are deleted.")

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["workspace_id", "-created_at", "-id"], name="wfrun_workspace_newest"),
            models.Index(fields=["workflow_id", "-created_at", "-id"], name="wfrun_workflow_newest"),
            models.Index(fields=["created_at"], name="wfrun_going", condition=models.Q(status__in=ACTIVE)),
            models.Index(fields=["changed_at"], name="wfrun_changed"),
            models.Index(fields=["forget_at"], name="wfrun_forget", condition=models.Q(forget_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow_id", "actor_identity", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="wfrun_idempotency_key_once",
            ),
            models.CheckConstraint(condition=models.Q(status__in=RunState.values), name="wfrun_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"

    @property
    def is_active(self) -> bool:
        """Whether it is not over: it is queued, running or waiting."""
        return self.status in ACTIVE


class AttemptState(models.TextChoices):
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    SUCCEEDED = "succeeded", "Succeeded"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"
    CANCELLED = "cancelled", "Cancelled"


class StepAttempt(models.Model):
    """One attempt at a step: written when it begins and when it ends, before the run goes on.

    `path` tells items of a map and steps of sub-workflows apart. What a resume has made void is `superseded`.
    `failed_over`: it failed, and the run went on all the same.
    """

    workspace_path: ClassVar[str] = "run__workspace_id"
    environment_path: ClassVar[str | None] = "run__bounds__environment"
    owner_path: ClassVar[str] = "run__actor_identity"

    run = models.ForeignKey(WorkflowRun, models.CASCADE, related_name="attempts")
    path = models.CharField(max_length=500)
    step_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=20)
    number = models.PositiveIntegerField(help_text="From 1, over all segments of the run; 0 for one that was skipped.")
    status = models.CharField(max_length=11, choices=AttemptState.choices, default=AttemptState.RUNNING)
    input = ExactJSON(null=True)
    output = ExactJSON(null=True)
    trace = ExactJSON(null=True)
    memo = ExactJSON(null=True, db_column="kept", help_text="What has to be the same in each segment of the run.")
    error = models.TextField(null=True)  # noqa: DJ001  # no error is not the same as ""
    failed_over = models.BooleanField(default=False)
    prompt_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    due_at = models.DateTimeField(null=True)
    decision = models.JSONField(null=True, help_text="What was decided about an approval, by whom.")
    superseded = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["run_id", "id"]
        indexes = [models.Index(fields=["changed_at"], name="wfattempt_changed")]
        constraints = [
            models.UniqueConstraint(fields=["run", "path", "number"], name="wfattempt_unique"),
            models.CheckConstraint(condition=models.Q(status__in=AttemptState.values), name="wfattempt_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.path} {self.number} {self.status}"


class WorkflowWorker(models.Model):
    """A process that takes runs from the queue. It lives as long as the server process of that id does."""

    id = models.UUIDField(primary_key=True, editable=False)
    started_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.id)
