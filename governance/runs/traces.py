"""Which run started which: the tree that a run is in."""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from governance.runs.models import Run

DEEPEST = 12

MOST = 300


@dataclass(frozen=True, slots=True)
class Node:
    """A run in its tree. `begin` and `length` are percentages of the whole tree's time."""

    run: Run
    depth: int
    begin: float
    length: float


def of(run: Run, seen: QuerySet[Run]) -> list[Node]:
    """The whole tree that `run` is in, of the runs that are `seen`, in the order of the calls; nothing if it is alone.

    A query for each level, up to DEEPEST; of a larger tree the first MOST runs.
    """
    root = _root_of(run, seen)
    children: dict[uuid.UUID, list[Run]] = defaultdict(list)
    level, count, known = [root.pk], 1, {root.pk}
    for _ in range(DEEPEST):
        found = list(seen.filter(parent_id__in=level).order_by("created_at", "id")[: MOST - count])
        found = [each for each in found if each.pk not in known]
        if not found:
            break
        for child in found:
            assert child.parent_id is not None  # noqa: S101  # it was found by it
            children[child.parent_id].append(child)
        level = [child.pk for child in found]
        known.update(level)
        count += len(found)
    if count == 1:
        return []
    ends = [_end(each) for each in (root, *(child for of_one in children.values() for child in of_one))]
    whole = max(max(ends) - root.created_at, timedelta(milliseconds=1))
    return list(_walk(root, 0, children, root.created_at, whole))


def _root_of(run: Run, seen: QuerySet[Run]) -> Run:
    for _ in range(DEEPEST):
        parent = seen.filter(pk=run.parent_id).first() if run.parent_id else None
        if parent is None:
            break
        run = parent
    return run


def _walk(
    run: Run, depth: int, children: dict[uuid.UUID, list[Run]], start: datetime, whole: timedelta
) -> Iterator[Node]:
    begin = max(0.0, (run.created_at - start) / whole * 100)
    yield Node(run, depth, round(begin, 2), round(max(0.5, (_end(run) - run.created_at) / whole * 100), 2))
    for child in children.get(run.pk, ()):
        yield from _walk(child, depth + 1, children, start, whole)


def _end(run: Run) -> datetime:
    return run.created_at + timedelta(milliseconds=run.latency_ms or 0)
