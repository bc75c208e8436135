"""Executes a definition on the event loop of model calls, and records in a journal what it does.

What a step made in an earlier segment of the run is recalled and never made again; nothing else is remembered, so that
a run goes on after any end of its process by being interpreted again.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from governance.api.parsing import storable
from governance.core.db import AWAY
from governance.core.errors import DomainError, InvalidInputError
from prompts.content.rendering import VARIABLE, TooLongError
from workflows.definition import parsing
from workflows.engine.usage import RunUsage
from workflows.language import values
from workflows.language.budget import RunLimitError
from workflows.language.structure import END, Definition, Retry, Step
from workflows.steps import STEP_TYPES, Context, Outcome, RunContext
from workflows.steps.base import REPEATABLE, InternalError, StepFailedError, StepTimeoutError, holds, search
from workflows.steps.journal import Decision, Done, Journal, Parked, Stopped

logger = logging.getLogger("promptops.workflows")

#: Steps that one run may execute, those of maps and sub-workflows included.
MAX_EXECUTED = 5000
#: Characters that the outputs of one run may have in all.
MAX_OUTPUT = 64 * 1024 * 1024
#: Characters of a step's path at most: the ids of all that it is in.
MAX_PATH = 500
#: Seconds between two attempts at most, whatever the step or a server asks for.
MAX_PAUSE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended. `error` is what ended it before its end; then there is no output. `outputs` is None for a
    definition that declares none. `trace` has one entry a step, the failed one included."""

    output: Any = None
    outputs: dict[str, Any] | None = None
    trace: list[dict[str, Any]]
    usage: RunUsage
    error: DomainError | None = None


async def interpret(definition: Definition, run: RunContext, journal: Journal) -> Result:
    """Run to the end. `run.variables` are settled already (workflows.definition.parsing.settle).

    Raises Parked when the run has to wait for somebody or for a time, with the trace so far.
    """
    machine, trace, usage = _Machine(journal), list[dict[str, Any]](), RunUsage()
    try:
        output, outputs = await machine.body(definition, run, "", trace, usage)
    except Parked as parked:
        parked.trace = trace
        raise
    except (Stopped, *AWAY):
        raise  # the run is not over
    except Exception as broken:
        error = _as_domain_error(broken, run.run_id)
        if trace:  # what broke may have been beside a step's work
            trace[-1].setdefault("output", None)
            trace[-1].setdefault("error", error.message)
        return Result(trace=trace, usage=usage, error=error)
    return Result(output=output, outputs=outputs, trace=trace, usage=usage)


class _Machine:
    """What all parts of one run share."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._executed = 0
        self._output_size = 0

    async def body(
        self, definition: Definition, run: RunContext, prefix: str, trace: list[dict[str, Any]], usage: RunUsage
    ) -> tuple[Any, dict[str, Any] | None]:
        """Run a whole definition: what its last step made, and its outputs."""
        names: dict[str, Any] = {**run.variables, "steps": {}}
        if definition.inputs:
            names["inputs"] = {name: names[name] for name in definition.inputs if name in names}
        first_input = run.variables.get("input", "")
        output, seen = await self.sequence(definition.steps, run, prefix, names, first_input, trace, usage)
        if not definition.outputs:
            return output, None
        names |= {"input": output, "steps": seen}
        return output, {name: await _output(name, wanted, names, run) for name, wanted in definition.outputs.items()}

    async def sequence(
        self,
        steps: Sequence[Step],
        run: RunContext,
        prefix: str,
        names: Mapping[str, Any],
        step_input: Any,
        trace: list[dict[str, Any]],
        usage: RunUsage,
    ) -> tuple[Any, dict[str, Any]]:
        """Run steps one after the other: what the last one made, and all that later steps can ask of them."""
        seen: dict[str, Any] = dict(names["steps"])
        places = {step.id: place for place, step in enumerate(steps)} | {END: len(steps)}
        place = 0
        while place < len(steps):
            step = steps[place]
            entry = {"name": step.name, "type": step.type, **({"id": step.id} if "id" in step.fields else {})}
            trace.append(entry)
            # A copy of the steps so far: an output made of all of them must not come to contain itself.
            at = _At(self, step, run, f"{prefix}{step.id}", {**names, "input": step_input, "steps": dict(seen)}, usage)
            done = await self._step(at, entry)
            seen[step.id] = _seen(done)
            target = done.trace.get("goto")
            if done.error is not None:
                target = step.target or None
            elif not done.skipped:
                step_input = done.output
            place = places[target] if target else place + 1
        return step_input, seen

    async def _step(self, at: "_At", entry: dict[str, Any]) -> Done:
        self._executed += 1
        if self._executed > MAX_EXECUTED:
            raise RunLimitError(f"a run executes at most {MAX_EXECUTED} steps")
        if len(at.path) > MAX_PATH:
            raise RunLimitError(
                f"the ids of a step and of all that it is in have at most {MAX_PATH} characters, not {len(at.path)}"
            )
        done = await self.journal.recall(at.path)
        recalled = done is not None
        if done is None:
            done = await self._do(at, entry)
        if recalled or not STEP_TYPES[at.step.type].holds_steps:  # what is inside a step was counted there
            at.usage.add(done.trace)
        entry.update(output=done.output, **done.trace)
        if done.skipped:
            entry["skipped"] = True
        if done.error is not None:
            entry["error"] = done.error
        return done

    async def _do(self, at: "_At", entry: dict[str, Any]) -> Done:
        """Make the attempts that it takes."""
        step, journal, path = at.step, self.journal, at.path
        if await at.is_skipped():
            await journal.skip(path, step)
            return Done(skipped=True)
        number, failures = await journal.attempts(path), 0
        if not (number and STEP_TYPES[step.type].is_resumable):
            number += 1
        while True:
            step_input, problem = await at.input()
            await journal.begin(path, step, number, step_input)
            try:
                outcome = await at.attempt(step_input, problem)
                self._count(outcome.output)
                done = Done(output=outcome.output, trace=outcome.trace)
            except (Stopped, *AWAY):
                raise  # no fault of the step: the run goes on elsewhere or later
            except Exception as broken:
                error = _as_domain_error(broken, at.run.run_id, path)
                error.extra.clear()  # a step's own run is no part of what this run is answered with
                if number > 1:
                    entry["attempts"] = number
                if step.retry is not None and failures < step.retry.max and _repeatable(step.retry, error):
                    failures += 1
                    await journal.fail(path, number, error.message, again=True)
                    await asyncio.sleep(_pause(step.retry, failures, error))
                    number += 1
                    continue
                if "provider" in step.fields:
                    at.usage.tried(step["provider"])
                if step.on_error == "fail" or isinstance(error, RunLimitError):
                    await journal.fail(path, number, error.message, again=False)
                    entry.update(output=None, error=error.message)
                    entry.update({name: step[name] for name in ("provider",) if name in step.fields})
                    raise error from None
                done = Done(error=error.message)
            if number > 1:
                entry["attempts"] = number
            await journal.end(path, number, done)
            return done

    def _count(self, output: Any) -> None:
        """Refuse an output that is too large, and all of them when they are together."""
        try:
            self._output_size += values.check_size(output)
        except values.TooLargeError as error:
            raise StepFailedError(f"its output can't be kept: {error}") from None
        if self._output_size > MAX_OUTPUT:
            raise RunLimitError(f"the outputs of a run have at most {MAX_OUTPUT} characters in all")


class _At:
    """One step of a run, at its place. For steps that hold others, or wait, it is the engine of their context."""

    def __init__(
        self, machine: _Machine, step: Step, run: RunContext, path: str, names: Mapping[str, Any], usage: RunUsage
    ) -> None:
        self.machine, self.step, self.run, self.path, self.names, self.usage = machine, step, run, path, names, usage
        self._problem: DomainError | None = None

    async def is_skipped(self) -> bool:
        """Whether the step's condition does not hold. When that can't be found out, the step fails with the reason."""
        try:
            return self.step.when is not None and not await holds(self.step.when, self.names, self.run.budget)
        except DomainError as error:
            self._problem = error
            return False

    async def input(self) -> tuple[Any, DomainError | None]:
        """What the step works on, or why there is nothing."""
        if self._problem is not None:
            return None, self._problem
        if self.step.input is None:
            return self.names["input"], None
        try:
            found = await search(self.step.input, self.names, self.run.budget)
            values.check_size(found)
        except values.TooLargeError as error:
            return None, StepFailedError(f"its input can't be kept: {error}")
        except DomainError as error:
            return None, error
        return found, None

    async def attempt(self, step_input: Any, problem: DomainError | None) -> Outcome:
        """Do it once, within the step's time."""
        if problem is not None:
            raise problem
        names = {**self.names, "input": step_input}
        context = Context(run=self.run, path=self.path, input=step_input, names=names, engine=self)
        try:
            async with asyncio.timeout(self.step.timeout) as clock:
                return await STEP_TYPES[self.step.type].run(self.step, context)
        except TimeoutError:
            if not clock.expired():
                raise
            raise StepTimeoutError(f"it was not done within {self.step.timeout:g} seconds") from None

    async def decision(self) -> Decision | None:
        return await self.machine.journal.decision(self.path)

    async def due(self, seconds: float) -> datetime:
        return await self.machine.journal.due(self.path, seconds)

    async def memoize(self, value: Any) -> Any:
        return await self.machine.journal.memoize(self.path, value)

    async def each(self, items: Sequence[Any], at_once: int) -> Outcome:
        usage, gate, parked = RunUsage(above=self.usage), asyncio.Semaphore(at_once), list[Parked]()

        async def one(place: int, item: Any) -> Any:
            async with gate:
                names = {**self.names, "item": item, "index": place}
                prefix, trace = f"{self.path}[{place}]/", list[dict[str, Any]]()
                try:
                    made, _ = await self.machine.sequence(self.step.steps, self.run, prefix, names, item, trace, usage)
                except Parked as stop:  # the other items go on
                    parked.append(stop)
                    return None
                except DomainError as error:
                    error.message = f"item {place}: {trace[-1]['name']}: {error.message}"
                    raise
                return made

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(place, item)) for place, item in enumerate(items)]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if parked:
            raise min(parked, key=lambda stop: (stop.until is None, stop.until))
        return Outcome(output=[task.result() for task in tasks], trace={"items": len(items), **usage.trace})

    async def below(self, definition: Mapping[str, Any], run: RunContext) -> Outcome:
        loaded, usage, trace = parsing.load(definition), RunUsage(above=self.usage), list[dict[str, Any]]()
        try:
            settled = replace(run, variables=parsing.settle(loaded.inputs, run.variables))
        except InvalidInputError as error:
            raise StepFailedError(f"{run.workflow_key}: {error.message}") from None
        try:
            output, outputs = await self.machine.body(loaded, settled, f"{self.path}/", trace, usage)
        except DomainError as error:
            inside = f"{trace[-1]['name']}: " if trace else ""
            error.message = f"{run.workflow_key}: {inside}{error.message}"
            raise
        return Outcome(output=output if outputs is None else outputs, trace=usage.trace)


def _as_domain_error(error: Exception, run_id: uuid.UUID, path: str = "") -> DomainError:
    """The error as it is shown and stored, in characters that every database takes."""
    if not isinstance(error, DomainError):
        logger.error("run %s: unexpected error at %s", run_id, path or "its end", exc_info=error)
        return InternalError(error)
    error.message = storable(error.message)
    return error


def _seen(done: Done) -> dict[str, Any]:
    """What later steps can ask of a step. One that was skipped or failed has no output."""
    seen = {**done.trace, "skipped": done.skipped}
    if done.error is not None:
        seen["error"] = done.error
    elif not done.skipped:
        seen["output"] = done.output
    return seen


async def _output(name: str, wanted: Any, names: Mapping[str, Any], run: RunContext) -> Any:
    """One of the outputs that a definition declares; null for a single reference to what is not there."""
    try:
        if not isinstance(wanted, str):
            value = await search(wanted["path"], names, run.budget)
        else:
            value, missing = values.fill(wanted, names, limit=MAX_OUTPUT)
            if missing and VARIABLE.fullmatch(wanted.strip()):
                value = None
        values.check_size(value)
    except (StepFailedError, values.TooLargeError) as error:
        raise StepFailedError(f"outputs.{name}: {error}") from None
    except TooLongError:
        raise StepFailedError(f"outputs.{name}: it would be too long") from None
    return value


def _repeatable(retry: Retry, error: DomainError) -> bool:
    return error.code in REPEATABLE and (not retry.on or error.code in retry.on)


def _pause(retry: Retry, failures: int, error: DomainError) -> float:
    """Seconds until the next attempt: twice as long each time, a part of it by chance so that many don't come at once,
    and not before a server asks to be left alone."""
    backoff: float = min(MAX_PAUSE, retry.backoff * 2.0 ** (failures - 1))
    jittered = backoff * random.uniform(0.5, 1)  # noqa: S311  # no secret
    return max(jittered, min(MAX_PAUSE, error.retry_after or 0))
