"""Pinned versions, ready to be sent: a version never changes, so that it is read from the database once.

The views put in what they have read; the fast lane takes it out. What is here was never removed from the database:
a deletion, or a move to another key or environment, is in the change log, and drops the versions of that key.
"""

import threading

from prompts.delivery.answers import Answer, Place

#: Bytes of all answers together. When there are more, those that were put in first are dropped.
MAX_BYTES = 16 * 1024 * 1024


class PinnedVersions:
    """Answers by environment, key and label, for environments whose changes are followed. Safe on any thread.

    What is read is put in with the `generation` from before the read: had a prompt gone meanwhile, it could be of that
    one, and is not taken.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.generation = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: dict[tuple[Place, str, str], Answer] = {}
        self._labels: dict[Place, dict[str, set[str]]] = {}
        self._lock = threading.Lock()

    def find(self, place: Place, key: str, label: str) -> Answer | None:
        return self._answers.get((place, key, label))

    def remember(self, place: Place, key: str, label: str, answer: Answer, generation: int) -> None:
        """Keep the answer for a version, unless the environment is not followed or the generation is another."""
        with self._lock:
            version = (place, key, label)
            if generation != self.generation or place not in self._labels or version in self._answers:
                return
            self._answers[version] = answer
            self._labels[place].setdefault(key, set()).add(label)
            self._bytes += answer.size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._answers)))

    def follow(self, place: Place) -> None:
        """From here on, deletions in the environment are reported by `forget`."""
        with self._lock:
            self.generation += 1
            self._labels.setdefault(place, {})

    def forget(self, place: Place, key: str) -> None:
        """A prompt is gone from that key."""
        with self._lock:
            self.generation += 1
            for label in list(self._labels.get(place, {}).get(key, ())):
                self._drop((place, key, label))

    def leave(self, place: Place) -> None:
        """The environment is no longer followed."""
        with self._lock:
            self.generation += 1
            for key, labels in self._labels.pop(place, {}).items():
                for label in labels:
                    self._bytes -= self._answers.pop((place, key, label)).size

    def _drop(self, version: tuple[Place, str, str]) -> None:
        place, key, label = version
        self._bytes -= self._answers.pop(version).size
        labels = self._labels[place][key]
        labels.discard(label)
        if not labels:
            del self._labels[place][key]
