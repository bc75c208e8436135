"""Prompts that have a text in their key, name, content or tags, the case of each letter aside; and those of a tag.

What is looked through is a row beside each prompt, folded once, by an index of its trigrams: SQLite's FTS5, and pg_trgm
where PostgreSQL has it (migration 0004). A text of one or two characters has no trigram: then all rows are read.

The index is asked for short parts of what is wanted, and what has these is looked through for the whole. It follows
each trigram that it is asked for through all of its places, so a part has no trigram twice: in a text of one character
a part costs what the text has characters, and not that times its own.
"""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, Value, prefetch_related_objects
from django.db.models.expressions import RawSQL
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from governance.core.text import composed, folded
from prompts.content import stored
from prompts.models import Prompt, PromptTag, PromptText

FIELDS = ("key", "name", *stored.COLUMNS, "tags")
#: So many that were found are named one by one. More are common enough to be met on the way through a list.
FEW = 2000
TRIGRAM = 3
#: Characters of a piece that the index is asked for, and how many pieces.
PIECE = 16
PIECES = 4


def remember(*prompts: Prompt) -> None:
    """Let prompts be found by what they are now. In the transaction that changed one of FIELDS."""
    prefetch_related_objects(prompts, "tags")
    rows = [PromptText(prompt=prompt, text=folded_texts(prompt), tags=_fold(prompt.tag_names)) for prompt in prompts]
    PromptText.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["prompt"], update_fields=["text", "tags"]
    )


def narrowed(prompts: QuerySet[Prompt], text: str, *, tags: bool = False) -> QuerySet[Prompt]:
    """Those of `prompts` that have `text` in their key, name or content, or in one of their tags where that counts.

    `text` has at most `governance.core.text.MAX_SEARCH` characters: who lets people search sees to it.
    """
    wanted = folded(text)
    columns = ("text", "tags") if tags else ("text",)
    there = _any(columns, wanted)
    parts = _parts(wanted)
    whole = parts == [wanted]  # then the index alone says what holds it
    found = PromptText.objects.filter(_by_index(parts, columns, limit=FEW + 1 if whole else -1) or there)
    if not whole:
        found = found.filter(there)
    few = list(found.values_list("prompt", flat=True)[: FEW + 1])
    if len(few) <= FEW:
        return prompts.filter(pk__in=few)
    return prompts.filter(Exists(PromptText.objects.filter(there, prompt=OuterRef("pk"))))


def of_category(prompts: QuerySet[Prompt], category: str) -> QuerySet[Prompt]:
    return prompts.filter(category_form=composed(category))


def tagged(prompts: QuerySet[Prompt], tag: str) -> QuerySet[Prompt]:
    return prompts.filter(pk__in=PromptTag.objects.filter(form=composed(tag)).values("prompt"))


def _any(columns: Iterable[str], wanted: str) -> Q:
    """Rows that hold the text itself. Linear in what is read: LIKE would not be, with long texts of one character."""
    held = Q()
    for column in columns:
        held |= Q(GreaterThan(StrIndex(column, Value(wanted)), 0))
    return held


def _by_index(parts: list[str], columns: tuple[str, ...], *, limit: int) -> Q | None:
    """Rows that hold all the parts, as the database's index finds them, at most `limit`; None for too short a part.

    PostgreSQL's index answers the question that would be asked without one, and knows no limit.
    """
    if connection.vendor != "sqlite":
        held = Q()
        for column in columns:
            held |= Q(*(Q(**{f"{column}__contains": part}) for part in parts))
        return held
    if len(parts[0]) < TRIGRAM:
        return None
    quoted = ('"' + part.replace('"', '""') + '"' for part in parts)
    phrase = f"{{{' '.join(columns)}}} : ({' AND '.join(quoted)})"
    rows = "SELECT rowid FROM prompts_prompttext_index WHERE prompts_prompttext_index MATCH %s LIMIT %s"
    return Q(pk__in=RawSQL(rows, [phrase, limit]))  # noqa: S611  # the words are a parameter


def _parts(wanted: str) -> list[str]:
    """What the index is asked for: pieces of the text's beginning, or their trigrams where one comes twice in a piece.

    The last piece reaches back, so that none is too short for the index.
    """
    last = max(0, len(wanted) - PIECE)
    parts: list[str] = []
    for start in range(0, min(len(wanted), PIECE * PIECES), PIECE):
        piece = wanted[min(start, last) :][:PIECE]
        trigrams = [piece[place : place + TRIGRAM] for place in range(max(1, len(piece) - TRIGRAM + 1))]
        once = list(dict.fromkeys(trigrams))
        parts += once if len(once) < len(trigrams) else [piece]
    return list(dict.fromkeys(parts))


def folded_texts(prompt: Prompt) -> str:
    """What a search finds the prompt by, beside its tags."""
    return _fold([prompt.key, prompt.name, stored.of_row(prompt).search_text])


def _fold(texts: Iterable[str]) -> str:
    return folded("\n".join(texts))
