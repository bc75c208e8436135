"""Texts as they are compared and searched: in one Unicode form, and stored in the one that they came in.

`é` may come as one character or as `e` with an accent after it, depending on keyboard and system. Both look the same.
"""

import unicodedata

#: What may be searched for: so many characters, in so many words where words are searched for one by one.
MAX_SEARCH = 200

MAX_SEARCH_WORDS = 10


def composed(text: str) -> str:
    """The one form in which texts are equal (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """The one form in which texts are equal, the case of each letter aside (Unicode, 3.13)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def whole_number(text: str, *, digits: int) -> int | None:
    """The number that is written in `text` in at most so many digits; None for anything else.

    ASCII digits only: `str.isdigit` also takes characters such as `²`, for which `int` raises an error.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def words_of(search: str) -> list[str]:
    """The words of what was typed into a field to search by. Raises ValueError, with a sentence, for too many."""
    words = search.split()
    if len(search) > MAX_SEARCH or len(words) > MAX_SEARCH_WORDS:
        raise ValueError(f"a search has at most {MAX_SEARCH} characters and {MAX_SEARCH_WORDS} words")
    return words
