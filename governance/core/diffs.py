"""Two texts side by side, line by line. Pure, and quick for whatever the texts are.

Lines are compared, never characters: difflib takes seconds for the characters of ten kilobytes. It takes as long for
very many lines, and for lines that are all alike; where it would, what lies between the common beginning and the common
end is shown as one replaced block.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Literal

Part = tuple[str, int, int, int, int]

Kind = Literal["same", "changed", "removed", "added", "skipped"]

CONTEXT = 3  # unchanged lines shown around each change

LINES = 2_500  # that are compared, of both texts together

COMPARISONS = 100_000  # pairs of equal lines among them

ROWS = 2_000  # shown; nobody reads more


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one text. In a changed line, `mark` is what differs between `before` and `after`, which do not."""

    number: int
    before: str
    mark: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that stand beside each other; `skipped` counts unchanged lines that are left out."""

    kind: Kind
    old: Side | None = None
    new: Side | None = None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """`cut` says that there are more rows than are shown."""

    rows: list[Row]
    added: int
    removed: int
    cut: bool = False

    @property
    def same(self) -> bool:
        return not self.added and not self.removed


def side_by_side(old: str, new: str) -> Diff:
    """The difference between two texts, as rows that show them beside each other."""
    old_lines, new_lines = old.splitlines() or [""], new.splitlines() or [""]
    if old == new:
        return Diff([], 0, 0)
    if old_lines == new_lines:  # they differ in the last line's end alone
        old_lines += [""] if old.endswith("\n") else []
        new_lines += [""] if new.endswith("\n") else []
    parts = list(_opcodes(old_lines, new_lines))
    removed = sum(end - start for tag, start, end, _, _ in parts if tag != "equal")
    added = sum(to - from_ for tag, _, _, from_, to in parts if tag != "equal")
    rows = list(islice(_rows(old_lines, new_lines, parts), ROWS + 1))
    return Diff(rows[:ROWS], added, removed, len(rows) > ROWS)


def _rows(old: list[str], new: list[str], parts: list[Part]) -> Iterator[Row]:
    for tag, start, end, from_, to in parts:
        if tag == "equal":
            yield from _folded(old, start, end, from_, first=start == 0, last=end == len(old))
        else:
            yield from _beside(old, new, start, end, from_, to)


def _opcodes(old: list[str], new: list[str]) -> Iterator[Part]:
    """difflib's, of what is between the lines that both begin and end with."""
    shorter = min(len(old), len(new))
    head = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = shorter - head
    tail = next((place for place in range(rest) if old[-1 - place] != new[-1 - place]), rest)
    if head:
        yield "equal", 0, head, 0, head
    middle, changed = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(middle) + len(changed) > LINES or _comparisons(middle, changed) > COMPARISONS:
        yield "replace", head, len(old) - tail, head, len(new) - tail
    else:
        for tag, *indexes in SequenceMatcher(None, middle, changed, autojunk=False).get_opcodes():
            start, end, from_, to = (index + head for index in indexes)
            yield tag, start, end, from_, to
    if tail:
        yield "equal", len(old) - tail, len(old), len(new) - tail, len(new)


def _comparisons(old: list[str], new: list[str]) -> int:
    """How many pairs of equal lines there are: what difflib goes through, at least once."""
    counts = Counter(new)
    return sum(counts[line] for line in old)


def _folded(lines: list[str], start: int, end: int, other: int, *, first: bool, last: bool) -> Iterator[Row]:
    """Unchanged lines, those far from a change left out."""
    before = 0 if first else CONTEXT
    after = 0 if last else CONTEXT
    hidden = end - start - before - after
    for place in range(start, end):
        offset = place - start
        if hidden > 1 and before <= offset < before + hidden:
            if offset == before:
                yield Row("skipped", skipped=hidden)
            continue
        yield Row("same", Side(place + 1, lines[place]), Side(other + offset + 1, lines[place]))


def _beside(old: list[str], new: list[str], start: int, end: int, from_: int, to: int) -> Iterator[Row]:
    """Lines that were replaced beside those that replaced them, then those that are left over."""
    pairs = min(end - start, to - from_)
    for offset in range(pairs):
        left, right = _marked(old[start + offset], new[from_ + offset], start + offset + 1, from_ + offset + 1)
        yield Row("changed", left, right)
    for place in range(start + pairs, end):
        yield Row("removed", Side(place + 1, "", old[place]))
    for place in range(from_ + pairs, to):
        yield Row("added", None, Side(place + 1, "", new[place]))


def _marked(old: str, new: str, old_number: int, new_number: int) -> tuple[Side, Side]:
    """Two lines with what lies between their common beginning and end marked."""
    shorter = min(len(old), len(new))
    head = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = shorter - head
    tail = next((place for place in range(rest) if old[-1 - place] != new[-1 - place]), rest)
    return tuple(  # type: ignore[return-value]  # two of them
        Side(number, line[:head], line[head : len(line) - tail], line[len(line) - tail :])
        for number, line in ((old_number, old), (new_number, new))
    )
