import uuid
from typing import ClassVar

from django.db import models


class RunStatus(models.TextChoices):
    RUNNING = "running", "Running"
    OK = "ok", "OK"
    ERROR = "error", "Error"
    INTERRUPTED = "interrupted", "Interrupted"


class Run(models.Model):
    """One use of a model, an agent or a workflow: opened before the call, closed whatever happens.

    It has no foreign keys, so that it remains when the prompt, the agent or the user is deleted. Token counts and costs
    are null where they are not known. `parent_id` is the run that started this one. `process_id` is its server process:
    when that has died, a sweep closes the run.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "environment"
    owner_path: ClassVar[str] = "actor_identity"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.CharField(max_length=36)
    source = models.CharField(max_length=20)
    ref_id = models.UUIDField(null=True)
    ref_key = models.CharField(max_length=200, blank=True)
    prompt_id = models.UUIDField(null=True)
    parent_id = models.UUIDField(null=True)
    process_id = models.UUIDField(null=True)
    environment = models.CharField("env", max_length=50, blank=True)
    version = models.CharField(max_length=64, blank=True)
    variant = models.CharField(max_length=1, blank=True)
    provider = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=200, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    tokens_estimated = models.BooleanField(default=False)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.RUNNING)
    error = models.CharField(max_length=1000, blank=True)
    actor = models.CharField(max_length=200)
    actor_identity = models.CharField(max_length=50, blank=True, help_text="The identity of who started it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["workspace_id", "-created_at", "-id"], name="run_workspace_newest"),
            models.Index(fields=["ref_key", "-created_at", "-id"], name="run_key_newest"),
            models.Index(fields=["parent_id"], name="run_parent", condition=models.Q(parent_id__isnull=False)),
            models.Index(fields=["created_at"], name="run_running", condition=models.Q(status="running")),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="run_status_known")]

    def __str__(self) -> str:
        return f"{self.source} {self.ref_key} {self.status}"

    def shows_texts_to(self, environment: str | None, identity: str) -> bool:
        """Whether a token that is bound to `environment` (None: any actor that is not) may read this run's texts.

        A run of that environment may still hold texts of another one: when a workflow handed them to it, or when it
        called a workflow.
        """
        if environment is None or self.actor_identity == identity:
            return True
        if self.environment != environment or self.parent_id is not None:
            return False
        return not Run.objects.filter(parent_id=self.pk, source="workflow").exists()


class RunContent(models.Model):
    """What was sent and what came back: kept only where the workspace asks for it, and only for so many days."""

    workspace_path: ClassVar[str] = "run__workspace_id"
    environment_path: ClassVar[str | None] = "run__environment"
    owner_path: ClassVar[str] = "run__actor_identity"

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="content")
    prompt = models.TextField(blank=True)
    output = models.TextField(blank=True)
    delete_after = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-run__created_at", "-run_id"]
        verbose_name_plural = "run contents"


class RunFeedback(models.Model):
    """An actor's rating of a run. A later one by the same actor replaces it."""

    workspace_path: ClassVar[str] = "run__workspace_id"
    environment_path: ClassVar[str | None] = "run__environment"
    owner_path: ClassVar[str] = "run__actor_identity"

    run = models.ForeignKey(Run, models.CASCADE, related_name="feedback")
    actor = models.CharField(max_length=200)
    actor_identity = models.CharField(max_length=250, help_text="The identity of who said it.")
    score = models.FloatField(help_text="From -1 (useless) to 1 (just right).")
    comment = models.TextField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at", "-id"]
        verbose_name_plural = "run feedback"
        constraints = [
            models.UniqueConstraint(fields=["run", "actor_identity"], name="feedback_once_each"),
            models.CheckConstraint(
                condition=models.Q(score__gte=-1) & models.Q(score__lte=1), name="feedback_score_in_range"
            ),
        ]


class Grain(models.TextChoices):
    HOUR = "hour", "Hour"
    DAY = "day", "Day"
    MONTH = "month", "Month"


class RunTally(models.Model):
    """The runs of an hour, a day or a month that were of one thing, added up as they end.

    Statistics are read from it: how long that takes depends on how many things run, and not on how often. `digest`
    stands for all that the runs have in common. Latencies are counted in BUCKETS, added below.
    """

    workspace_path: ClassVar[str] = "workspace_id"
    environment_path: ClassVar[str | None] = "environment"

    grain = models.CharField(max_length=5, choices=Grain.choices)
    start = models.DateTimeField()
    digest = models.CharField(max_length=32)
    workspace_id = models.CharField(max_length=36)
    source = models.CharField(max_length=20)
    ref_key = models.CharField(max_length=200, blank=True)
    environment = models.CharField("env", max_length=50, blank=True)
    version = models.CharField(max_length=64, blank=True)
    variant = models.CharField(max_length=1, blank=True)
    provider = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=200, blank=True)
    ok = models.PositiveBigIntegerField(default=0)
    error = models.PositiveBigIntegerField(default=0)
    interrupted = models.PositiveBigIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    priced = models.PositiveBigIntegerField(default=0, help_text="Runs whose cost is known.")
    cost_usd = models.DecimalField(max_digits=20, decimal_places=8, default=0)
    timed = models.PositiveBigIntegerField(default=0, help_text="Runs whose latency is known.")
    latency_ms = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-start", "-id"]
        verbose_name_plural = "run tallies"
        constraints = [models.UniqueConstraint(fields=["grain", "start", "digest"], name="tally_unique")]


#: Two to an octave, from a millisecond to a quarter of an hour: a quantile is off by 19 % at most.
BUCKETS = 40

for _bucket in range(BUCKETS):
    RunTally.add_to_class(f"latency_{_bucket}", models.PositiveBigIntegerField(default=0))
