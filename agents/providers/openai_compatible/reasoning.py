"""Separates the reasoning that a model writes in front of its answer from the answer. Pure."""

#: The marks that models themselves put around their reasoning. Others, such as <thinking>, are what a prompt asked for.
MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"))
#: Characters of white space that may stand in front of the opening mark.
_MAX_MARGIN = 200


class ReasoningSplitter:
    """Takes a text piece by piece. `reasoning` is what stood between the marks; `feed` returns the rest.

    Reasoning whose closing mark never comes is returned at the end as it came, marks included: it may be all there is.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._decided = self._output_began = False
        self._marks = MARKS[0]
        self._inside: list[str] = []
        self.reasoning = ""

    def feed(self, piece: str) -> str:
        """The part of the text that belongs to the answer for certain."""
        if self._decided and not self._inside:
            return self._after_marks(piece)
        if not self._decided:
            self._pending += piece
            begun = self._pending.lstrip()
            self._marks = next((marks for marks in MARKS if begun.startswith(marks[0])), self._marks)
            if begun.startswith(self._marks[0]):
                self._decided = True
                self._inside = [self._pending[: -len(begun)] + self._marks[0]]
                piece, self._pending = begun.removeprefix(self._marks[0]), ""
            elif len(self._pending) - len(begun) < _MAX_MARGIN and any(one.startswith(begun) for one, _ in MARKS):
                return ""
            else:
                self._decided = self._output_began = True
                piece, self._pending = self._pending, ""
                return piece
        return self._inside_marks(piece)

    def end(self) -> str:
        """What could have been part of a mark until now."""
        rest = "".join(self._inside) + self._pending
        self._inside, self._pending = [], ""
        return rest

    def _inside_marks(self, piece: str) -> str:
        """`_pending` is the end of the reasoning so far, in which the closing mark may have begun."""
        close = self._marks[1]
        reasoning, found, rest = (self._pending + piece).partition(close)
        if not found:
            kept = len(close) - 1
            self._inside.append(reasoning[:-kept])
            self._pending = reasoning[-kept:]
            return ""
        self.reasoning = ("".join(self._inside) + reasoning).lstrip().removeprefix(self._marks[0]).strip()
        self._inside, self._pending = [], ""
        return self._after_marks(rest)

    def _after_marks(self, piece: str) -> str:
        """Without the white space between the reasoning and the answer."""
        if not self._output_began:
            piece = piece.lstrip()
            self._output_began = bool(piece)
        return piece
