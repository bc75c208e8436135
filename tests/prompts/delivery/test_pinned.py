"""What the cache of pinned versions promises, by itself."""

from prompts.delivery.answers import Answer
from prompts.delivery.pinned import PinnedVersions

PROD = ("default", "prod")


def followed(max_bytes: int = 1000) -> PinnedVersions:
    pinned = PinnedVersions(max_bytes)
    pinned.follow(PROD)
    return pinned


def answer(length: int = 10) -> Answer:
    return Answer(b"x" * length, b"", b"")


def test_a_version_is_found_by_its_environment_key_and_label_alone() -> None:
    pinned, kept = followed(), answer()
    pinned.remember(PROD, "a", "v1", kept, pinned.generation)
    assert pinned.find(PROD, "a", "v1") is kept
    for place, key, label in ((("other", "prod"), "a", "v1"), (PROD, "b", "v1"), (PROD, "a", "v2")):
        assert pinned.find(place, key, label) is None


def test_a_version_of_an_environment_that_is_not_followed_is_not_kept() -> None:
    pinned = PinnedVersions()
    pinned.remember(PROD, "a", "v1", answer(), pinned.generation)
    assert pinned.find(PROD, "a", "v1") is None


def test_a_deletion_drops_every_version_of_its_key_and_no_other() -> None:
    pinned = followed()
    for key, label in (("a", "v1"), ("a", "v2"), ("b", "v1")):
        pinned.remember(PROD, key, label, answer(), pinned.generation)
    pinned.forget(PROD, "a")
    found = [pinned.find(PROD, key, label) for key, label in (("a", "v1"), ("a", "v2"))]
    assert found == [None, None]
    assert pinned.find(PROD, "b", "v1") is not None


def test_what_was_read_before_a_deletion_or_a_new_beginning_is_not_kept_after_it() -> None:
    for change in (
        lambda pinned: pinned.forget(PROD, "a"),
        lambda pinned: pinned.forget(PROD, "b"),
        lambda pinned: pinned.follow(PROD),
        lambda pinned: (pinned.leave(PROD), pinned.follow(PROD)),
    ):
        pinned = followed()
        before = pinned.generation
        change(pinned)
        pinned.remember(PROD, "a", "v1", answer(), before)
        assert pinned.find(PROD, "a", "v1") is None


def test_an_environment_that_is_left_leaves_nothing_behind() -> None:
    pinned = followed()
    pinned.remember(PROD, "a", "v1", answer(900), pinned.generation)
    pinned.leave(PROD)
    pinned.follow(PROD)
    assert pinned.find(PROD, "a", "v1") is None
    pinned.remember(PROD, "b", "v1", answer(900), pinned.generation)
    assert pinned.find(PROD, "b", "v1") is not None


def test_when_there_are_more_bytes_than_may_be_the_oldest_versions_are_dropped() -> None:
    pinned = followed(max_bytes=100)
    for number in range(50):
        pinned.remember(PROD, "a", f"v{number}", answer(10), pinned.generation)
    kept = [number for number in range(50) if pinned.find(PROD, "a", f"v{number}")]
    assert kept == list(range(40, 50))
    pinned.remember(PROD, "huge", "v1", answer(101), pinned.generation)
    assert pinned.find(PROD, "huge", "v1") is None
