"""What a type of step is: its name, its fields, and what it does."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

from django.conf import settings
from rest_framework import serializers

from agents.transport import bridge
from governance.access.actors import Actor
from governance.api.fields import StringField
from governance.api.serializers import ApiSerializer
from governance.core import stored_secrets
from governance.core.db import briefly
from governance.core.errors import DomainError, InvalidInputError
from prompts.content.rendering import Rendered, TooLongError
from workflows.language import conditions, paths, values
from workflows.language.budget import Budget
from workflows.language.structure import Step
from workflows.steps.fields import secret
from workflows.steps.fields.conditions import ConditionField
from workflows.steps.fields.plain import ChoiceField, NumberField, WholeField
from workflows.steps.fields.references import OnErrorField, PathField, StepIdField
from workflows.steps.journal import Decision

T = TypeVar("T")

MAX_TIMEOUT = 3600
MAX_RETRIES = 10
MAX_BACKOFF = 60


class StepFailedError(DomainError):
    """A step can't do its work, though the input of the run is valid."""

    status = 502
    code = "step_failed"


class StepTimeoutError(DomainError):
    """A step took longer than its timeout."""

    status = 504
    code = "step_timeout"


class HttpFailedError(DomainError):
    """What an `http` step called could not be reached, or answered with a failure."""

    status = 502
    code = "http_failed"


class RejectedError(DomainError):
    """An approval was rejected."""

    status = 502
    code = "rejected"


class InternalError(DomainError):
    """An unexpected error: a fault in this server, not in the workflow."""

    status = 502
    code = "internal"

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"internal error ({type(cause).__name__}): what happened is in the server's log")


#: The codes of errors after which a step may be repeated. Bad input is none of them: it would fail again.
REPEATABLE = ("step_failed", "step_timeout", "http_failed", "provider_failed", "provider_timeout", "limit_reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCall:
    """The API key and the base URL that a request sent for the model steps of its run.

    They are in the memory of this process only, and never stored. So a run that has them can't continue in another
    process, and can't be put aside to wait.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What all steps of a run share.

    `run_id` is the id of the run in the run log; the runs of its models and agents have it as their parent. `depth` is
    0 for a run that was started from outside, and one more in each sub-workflow. `budget` is the CPU time for its
    expressions, including those of its sub-workflows. `strict`: a variable without a value is an error. `unit` is the
    unit that rollouts assign a variant to.
    """

    actor: Actor
    workspace_id: str
    run_id: uuid.UUID
    workflow_id: uuid.UUID
    workflow_key: str
    variables: Mapping[str, Any]
    strict: bool = False
    unit: str | None = None
    depth: int = 0
    budget: Budget = field(default_factory=Budget)
    own_call: OwnCall | None = None

    def refuse_to_wait(self) -> None:
        """Raise StepFailedError if the run can't be put aside to wait, since it could not be resumed."""
        if self.own_call is not None:
            raise StepFailedError(
                "a run with an api_key or a base_url of its own can't be put aside to wait, since they are not kept"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a step. `trace` is added to the run's trace beside the output; its `goto` is the next step's id."""

    output: Any
    trace: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What the interpreter offers to one step that has steps inside it, or waits."""

    async def decision(self) -> Decision | None:
        """What somebody decided about it."""

    async def due(self, seconds: float) -> datetime:
        """When so many seconds are over since it first asked, in any segment of the run."""

    async def memoize(self, value: Any) -> Any:
        """The first value that it ever memoized: the same in each segment of the run."""

    async def each(self, items: Sequence[Any], at_once: int) -> Outcome:
        """Run the steps inside it for each item, so many at once; the output has what each of them made."""

    async def below(self, definition: Mapping[str, Any], run: "RunContext") -> Outcome:
        """Run a sub-workflow's stored definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a step runs with. `input` is the value that it works on; `names` is what its templates and paths see."""

    run: RunContext
    path: str
    input: Any
    names: Mapping[str, Any]
    engine: Engine

    def fill(self, value: Any) -> tuple[Any, list[str]]:
        """A value with its templates filled, and the names that have no value.

        Raises InvalidInputError when the text gets too long, or when a name has no value in a strict run;
        StepFailedError when a value is too large to be filled in.
        """
        filled, missing = self._bounded(values.fill, value)
        self._refuse_missing(missing)
        return filled, missing

    def render(self, template: str) -> Rendered:
        """A template filled. Raises as `fill` does."""
        made = self._bounded(values.rendered, template)
        self._refuse_missing(made.missing)
        return made

    async def search(self, path: str) -> Any:
        """What a path finds. Raises StepFailedError when it can't be evaluated here, or takes too long."""
        return await search(path, self.names, self.run.budget)

    async def holds(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition holds. Raises StepFailedError when that takes too long to find out."""
        return await holds(condition, self.names, self.run.budget)

    def reveal(self, name: str, secret: Mapping[str, Any], *, destination: str) -> str:
        """The value of a stored secret, which the step has under `name`, to be used for `destination`.

        Raises StepFailedError if it was stored for something else (`StepSerializer.destination`), or can't be
        decrypted.
        """
        if secret["origin"] != destination:
            raise StepFailedError(f"{name}: this secret is for something else; store it again")
        try:
            return stored_secrets.reveal(secret)
        except stored_secrets.UnreadableError:
            raise StepFailedError(f"{name}: the secret can't be read: SECRET_KEY was changed; store it again") from None

    def _bounded(self, work: Callable[..., T], template: Any) -> T:
        limit: int = settings.PROMPTOPS_MAX_BODY_BYTES
        try:
            return work(template, self.names, limit=limit)
        except TooLongError:
            raise InvalidInputError.of("variables", f"with them the text would have over {limit} characters") from None
        except values.TooLargeError as error:
            raise StepFailedError(f"a value can't be filled in: {error}") from None

    def _refuse_missing(self, missing: list[str]) -> None:
        if self.run.strict and missing:
            raise no_value_for(missing)


def no_value_for(names: list[str]) -> InvalidInputError:
    return InvalidInputError(f"variables: there is no value for {', '.join(names)}", fields={"variables": names})


async def search(path: str, names: Mapping[str, Any], budget: Budget) -> Any:
    """What a path finds among `names`. Raises StepFailedError when it can't be evaluated here, or takes too long."""
    try:
        return await budget.compute(lambda clock: paths.search(path, names, clock))
    except paths.PathError as error:
        raise StepFailedError(f"{path}: {error}") from None


async def holds(condition: Mapping[str, Any], names: Mapping[str, Any], budget: Budget) -> bool:
    """Whether a condition holds for `names`. Raises StepFailedError when that takes too long to find out."""
    try:
        return await budget.compute(lambda clock: conditions.holds(condition, names, clock))
    except paths.PathError as error:
        raise StepFailedError(f"the condition can't be told: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One of the combinations of fields that a type allows; a step has to match one of them.

    It matches when each field in `only` has one of its words, all `required` fields are there, and none in `without`.
    """

    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    required: Sequence[str] = ()
    without: Sequence[str] = ()


class RetrySerializer(ApiSerializer):
    """How often a step that failed is done again."""

    max = WholeField(min_value=1, max_value=MAX_RETRIES, help_text="Repetitions, the first attempt not counted.")
    backoff = NumberField(
        required=False,
        min_value=0,
        max_value=MAX_BACKOFF,
        help_text="Seconds before the first repetition (1 if not said); each next pause is twice as long, with jitter.",
    )
    on = serializers.ListField(
        child=ChoiceField(REPEATABLE),
        required=False,
        min_length=1,
        max_length=len(REPEATABLE),
        help_text="The codes of the errors after which it is done again; all of these if not said.",
    )


class StepSerializer(ApiSerializer):
    """The fields that every step has."""

    shapes: ClassVar[Sequence[Shape]] = ()
    #: What `destination` returns, in a word for people.
    destination_noun: ClassVar[str] = "type of step"

    id = StepIdField(required=False, help_text="By which later steps refer to this one: {{steps.<id>.output}}.")
    name = StringField(required=False, max_length=200)
    type = serializers.CharField()
    input = PathField(required=False, help_text="What the step works on, if not what the step before it made.")
    when = ConditionField(required=False, help_text="The step is skipped unless this holds.")
    retry = RetrySerializer(required=False)
    timeout = NumberField(required=False, min_value=0.001, max_value=MAX_TIMEOUT, help_text="Seconds for one attempt.")
    on_error = OnErrorField(required=False, help_text="What its failure means for the run; `fail` if not said.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        shapes = [shape for shape in self.shapes if all(attrs.get(name) in words for name, words in shape.only.items())]
        problems = [self._misfits(attrs, shape) for shape in shapes]
        if problems and all(problems):
            raise serializers.ValidationError(problems[0])
        return secret.bound(type(self), attrs, destination=self.destination(attrs), noun=self.destination_noun)

    def destination(self, attrs: Mapping[str, Any]) -> str:
        """What the secrets of this step are for; they are not kept for anything else. By default it is the type of the
        step. A type with a field that says where its secrets are sent returns that place instead."""
        return str(attrs["type"])

    @staticmethod
    def _misfits(attrs: Mapping[str, Any], shape: Shape) -> dict[str, list[str]]:
        what = " and ".join(f"{name} {attrs[name]}" for name in shape.only) or "what else is there"
        misfits = {name: ["required"] for name in shape.required if name not in attrs}
        return misfits | {name: [f"does not go with {what}"] for name in shape.without if name in attrs}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """One type of step.

    `fields` checks a step when its workflow is saved. `run` does the step, on the event loop of model calls, and raises
    a DomainError when it can't. `summary` says for people what the type does. `trace_fields` are the names in its trace
    that later steps can refer to, as `steps.<id>.<name>`. A run is put aside at one that `waits`; one that
    `holds_steps` has others inside it.
    """

    name: str
    summary: str
    fields: type[StepSerializer]
    run: Callable[[Step, Context], Awaitable[Outcome]]
    trace_fields: Sequence[str] = ()
    waits: bool = False
    holds_steps: bool = False

    @property
    def is_resumable(self) -> bool:
        """Whether it continues the same attempt after a restart, instead of beginning another."""
        return self.waits or self.holds_steps


def text_of(context: Context) -> str:
    """The step's input, which has to be a text. Raises StepFailedError if it is not."""
    if not isinstance(context.input, str):
        raise StepFailedError(f"expected a text to work on, not {kind_of(context.input)}")
    return context.input


def kind_of(value: Any) -> str:
    """The type of a JSON value, in words for people."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "an object")


async def on_database(work: Callable[..., T], *args: Any) -> T:
    """Do database work on the thread that waits for the run. Its connection is returned to the pool afterwards."""
    return await bridge.on_caller(briefly, work, *args)
