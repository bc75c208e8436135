"""How an environment's copy moves from revision to revision."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promptops_client import Change, Prompt
from promptops_client._cache.store import GapError, Store

KEYS = "abc"
#: One environment's history: which key is served what from each revision on; None: nothing.
HISTORIES = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.integers(0, 3)), max_size=12)


def document(key: str, number: int) -> dict[str, Any]:
    plain = {
        "key": key,
        "version": f"v{number}",
        "env": "prod",
        "model": "m",
        "content": f"{number}",
        "config": {"n": 1},
    }
    if number < 3:
        return plain
    return {**plain, "rollout": {"seed": "s", "weight_a": 12.5, "variants": {"A": plain, "B": plain}}}


def frames(history: list[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "prompt.published",
            "key": key,
            "env": "prod",
            "version": "" if number is None else f"v{number}",
            "revision": revision,
            "prev_revision": revision - 1,
            "document": None if number is None else document(key, number),
        }
        for revision, (key, number) in enumerate(history, start=1)
    ]


def at(history: list[tuple[str, int | None]], revision: int) -> Store:
    """What one fetch at that revision gives."""
    served = dict(history[:revision])
    documents = [document(key, number) for key, number in served.items() if number is not None]
    store = Store()
    store.replace(documents, revision=revision, epoch="e", etag=f"{revision}")
    return store


@given(HISTORIES, st.data())
def test_a_fetch_and_the_changes_after_it_come_to_the_same_wherever_the_fetch_was(
    history: list[tuple[str, int | None]], data: st.DataObject
) -> None:
    store = at(history, data.draw(st.integers(0, len(history))))
    again = data.draw(st.integers(0, store.revision))  # a stream that starts earlier than it had to
    for frame in frames(history)[again:]:
        store.change(frame, frame["document"])
    assert store.entries == at(history, len(history)).entries
    assert store.revision == len(history)


@given(HISTORIES, st.data())
def test_whole_states_tell_the_same_changes_as_the_stream_would(
    history: list[tuple[str, int | None]], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(history)))
    before, after = at(history, start), at(history, len(history))
    known = dict(before.entries)
    documents = [entry.document() for entry in after.entries.values()]
    for change in before.replace(documents, revision=len(history), epoch="e", etag=None):
        if change.prompt is None:
            del known[change.key]
        else:
            known[change.key] = after.entries[change.key]
    assert known == after.entries


@given(HISTORIES)
def test_what_is_saved_is_what_is_loaded(history: list[tuple[str, int | None]]) -> None:
    store = at(history, len(history))
    loaded = Store.load(json.loads(json.dumps(store.dump())))
    assert (loaded.entries, loaded.revision, loaded.epoch, loaded.etag, loaded.source) == (
        store.entries,
        store.revision,
        store.epoch,
        store.etag,
        "disk",
    )


def test_a_revision_that_skips_saved_drafts_is_no_gap_and_one_that_skips_a_served_change_is() -> None:
    store = at([("a", 1), ("a", 2)], 2)
    frame = {**frames([("a", 0)])[0], "revision": 9, "prev_revision": 2}
    served = Prompt.of(frame["document"])
    assert store.change(frame, served.document()) == Change("prompt.published", "a", "prod", "v0", 9, served)
    assert store.entries == {"a": served}
    with pytest.raises(GapError):
        store.change({**frame, "revision": 12, "prev_revision": 11}, frame["document"])
    assert store.revision == 9


def test_a_prompt_is_immutable_and_its_config_is_a_copy() -> None:
    prompt = Prompt.of({**document("a", 1), "config": {"stop": ["x"]}})
    prompt.config["stop"].append("y")
    assert prompt.config == {"stop": ["x"]}
    with pytest.raises(AttributeError):
        prompt.content = "other"  # type: ignore[misc]
    assert hash(prompt) == hash(Prompt.of({**document("a", 1), "config": {"stop": ["x"]}}))
