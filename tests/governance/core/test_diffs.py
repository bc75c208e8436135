"""Two texts side by side."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.core.diffs import ROWS, side_by_side

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "a b", "é"]), max_size=40).map("\n".join)


def told(old: str, new: str) -> list[tuple[str, ...]]:
    """The rows as (kind, left, right), what differs in them in brackets."""
    return [
        (row.kind, *(f"{side.before}[{side.mark}]{side.after}" if side else "" for side in (row.old, row.new)))
        for row in side_by_side(old, new).rows
    ]


def test_changed_added_and_removed_lines_stand_beside_each_other() -> None:
    assert told("a\nthe old line\nb\ngone\nc", "a\nthe new line\nb\nc\nmore") == [
        ("same", "a[]", "a[]"),
        ("changed", "the [old] line", "the [new] line"),
        ("same", "b[]", "b[]"),
        ("removed", "[gone]", ""),
        ("same", "c[]", "c[]"),
        ("added", "", "[more]"),
    ]


def test_lines_far_from_any_change_are_folded() -> None:
    lines = [str(number) for number in range(100)]
    diff = side_by_side("\n".join(lines), "\n".join(["first", *lines[1:99], "last"]))
    assert [(row.kind, row.skipped) for row in diff.rows if row.kind != "same"] == [
        ("changed", 0),
        ("skipped", 92),
        ("changed", 0),
    ]
    assert (diff.added, diff.removed, diff.cut) == (2, 2, False)


@given(TEXTS, TEXTS)
def test_each_side_has_all_of_its_lines_in_order(old: str, new: str) -> None:
    diff = side_by_side(old, new)
    assert diff.same is (old == new)
    for text, side in ((old, "old"), (new, "new")):
        numbers = [getattr(row, side).number for row in diff.rows if getattr(row, side)]
        assert numbers == sorted(set(numbers))
        lines = [*text.splitlines(), ""]
        for row in diff.rows:
            if shown := getattr(row, side):
                assert shown.before + shown.mark + shown.after == lines[shown.number - 1]
        skipped = sum(row.skipped for row in diff.rows)
        if not diff.same:
            assert len(numbers) + skipped in {len(text.splitlines() or [""]), len(text.splitlines()) + 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n" * 250_000, "\n" * 249_000 + "x\n"),
        ("\n".join(str(number % 200) for number in range(60_000)), "\n".join(str(n % 201) for n in range(60_000))),
        (
            "\n".join(str(number) for number in range(1200)),
            "\n".join(f"{number}{'!' if number % 3 else ''}" for number in range(1200)),
        ),
        ("x" * 250_000, "y" * 250_000),
    ],
    ids=["empty lines", "many alike", "every third changed", "two long lines"],
)
def test_no_text_that_can_be_stored_takes_long(old: str, new: str) -> None:
    began = time.process_time()
    diff = side_by_side(old, new)
    assert time.process_time() - began < 3
    assert not diff.same
    assert len(diff.rows) <= ROWS
