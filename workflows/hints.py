"""Says that a run changed, to whoever in this process shows runs. A hint: who misses it looks again within a second."""

import uuid
from collections.abc import Callable

#: Called on whatever thread made the change, after the commit. They don't wait and don't raise.
listeners: list[Callable[[uuid.UUID], None]] = []


def give(run_id: uuid.UUID) -> None:
    for listener in listeners:
        listener(run_id)
