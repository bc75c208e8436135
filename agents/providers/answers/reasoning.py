"""Separates what a model thinks aloud in front of its answer from the answer. Pure."""

#: Marks that models themselves put around their thoughts. Others, such as <thinking>, are what a prompt asked for.
MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"))
#: White space in front of a thought; what has more begins with no thought.
_MAX_MARGIN = 200


class Thoughts:
    """Takes a text piece by piece; `thought` is what was in its marks, the rest is handed on.

    A thought that never ends is handed on at last as it was, marks included: it may be all that there is.
    """

    def __init__(self) -> None:
        self._held = ""
        self._decided = self._handing_on = False
        self._marks = MARKS[0]
        self._inside: list[str] = []
        self.thought = ""

    def feed(self, piece: str) -> str:
        """What of the text can be handed on now."""
        if self._decided and not self._inside:
            return self._on(piece)
        if not self._decided:
            self._held += piece
            begun = self._held.lstrip()
            self._marks = next((marks for marks in MARKS if begun.startswith(marks[0])), self._marks)
            if begun.startswith(self._marks[0]):
                self._decided = True
                self._inside = [self._held[: -len(begun)] + self._marks[0]]
                piece, self._held = begun.removeprefix(self._marks[0]), ""
            elif len(self._held) - len(begun) < _MAX_MARGIN and any(one.startswith(begun) for one, _ in MARKS):
                return ""
            else:
                self._decided = self._handing_on = True
                piece, self._held = self._held, ""
                return piece
        return self._think(piece)

    def end(self) -> str:
        """What was held back until now."""
        rest = "".join(self._inside) + self._held
        self._inside, self._held = [], ""
        return rest

    def _think(self, piece: str) -> str:
        """`_held` is the end of the thought so far, in which its closing mark may have begun."""
        close = self._marks[1]
        thought, found, rest = (self._held + piece).partition(close)
        if not found:
            kept = len(close) - 1
            self._inside.append(thought[:-kept])
            self._held = thought[-kept:]
            return ""
        self.thought = ("".join(self._inside) + thought).lstrip().removeprefix(self._marks[0]).strip()
        self._inside, self._held = [], ""
        return self._on(rest)

    def _on(self, piece: str) -> str:
        """Without the white space between a thought and the answer."""
        if not self._handing_on:
            piece = piece.lstrip()
            self._handing_on = bool(piece)
        return piece
