"""The bare loop: it interprets five mock steps so often, and keeps nothing of them.

`python -m bench.servers.workflow_loop RUNS`

Prints the milliseconds and the milliseconds of CPU of a run. What a model call writes into the run log is in both this
and what it is compared with.
"""

import os
import sys
import time
import uuid

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
django.setup()

from agents.providers import registry  # noqa: E402  # they need the app registry
from agents.transport import bridge  # noqa: E402
from bench.servers.workflow_steps import STEPS  # noqa: E402
from governance.access.actors import SYSTEM  # noqa: E402
from governance.tenancy.models import DEFAULT_WORKSPACE  # noqa: E402
from workflows.definition import parsing  # noqa: E402
from workflows.engine.interpreter import interpret  # noqa: E402
from workflows.steps import RunContext  # noqa: E402
from workflows.steps.journal import MemoryJournal  # noqa: E402


def main(count: int) -> None:
    loaded = parsing.load(parsing.parse({"steps": STEPS}).as_json())
    registry.warm_up()

    def once(number: int) -> None:
        context = RunContext(
            actor=SYSTEM,
            workspace_id=DEFAULT_WORKSPACE,
            run_id=uuid.uuid4(),
            workflow_id=uuid.uuid4(),
            workflow_key="bare",
            variables={"input": f"run {number}"},
        )
        result = bridge.run(interpret, loaded, context, MemoryJournal())
        if result.error is not None:
            raise result.error

    once(0)
    began, used = time.perf_counter(), time.process_time()
    for number in range(count):
        once(number)
    took, used = time.perf_counter() - began, time.process_time() - used
    sys.stdout.write(f"{took / count * 1000} {used / count * 1000}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
