"""Search of prompts: a text in their key, name, content or tags, in either case; one category; one tag.

The search reads a row beside each prompt, whose texts were case-folded once, by an index of trigrams: SQLite's FTS5,
and pg_trgm where PostgreSQL has it (migration 0004). A text of one or two characters has no trigram; then all rows are
read.

The index finds the rows that have short parts of the text, and those are searched for the whole of it. The cost of a
part is the number of places that each of its trigrams has, so a part has no trigram twice. Otherwise a text such as
`aaaa...` would cost the square of its length.
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
#: Up to this many hits are named one by one. More are so common that a list finds them as it is read.
FEW = 2000
TRIGRAM = 3
#: Characters of a piece that is looked up in the index, and how many pieces at most.
PIECE = 16
PIECES = 4


def update(*prompts: Prompt) -> None:
    """Have the prompts found by what they are now. Call it in the transaction that changed one of FIELDS."""
    prefetch_related_objects(prompts, "tags")
    rows = [PromptText(prompt=prompt, text=folded_texts(prompt), tags=_fold(prompt.tag_names)) for prompt in prompts]
    PromptText.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["prompt"], update_fields=["text", "tags"]
    )


def narrowed(prompts: QuerySet[Prompt], text: str, *, tags: bool = False) -> QuerySet[Prompt]:
    """Those of `prompts` that have `text` in their key, name or content, or in one of their tags where that counts.

    `text` has at most `governance.core.text.MAX_SEARCH` characters, which callers check.
    """
    wanted = folded(text)
    columns = ("text", "tags") if tags else ("text",)
    there = _any(columns, wanted)
    parts = _parts(wanted)
    whole = parts == [wanted]  # then a hit of the index needs no second look
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
    """Rows that contain the text itself. Linear in what is read, which LIKE is not for long texts of one character."""
    contained = Q()
    for column in columns:
        contained |= Q(GreaterThan(StrIndex(column, Value(wanted)), 0))
    return contained


def _by_index(parts: list[str], columns: tuple[str, ...], *, limit: int) -> Q | None:
    """Rows that contain all the parts, by the database's index: at most `limit` of them. None for too short a part.

    On PostgreSQL the condition is the one that would be used without an index, and there is no limit.
    """
    if connection.vendor != "sqlite":
        contained = Q()
        for column in columns:
            contained |= Q(*(Q(**{f"{column}__contains": part}) for part in parts))
        return contained
    if len(parts[0]) < TRIGRAM:
        return None
    quoted = ('"' + part.replace('"', '""') + '"' for part in parts)
    phrase = f"{{{' '.join(columns)}}} : ({' AND '.join(quoted)})"
    rows = "SELECT rowid FROM prompts_prompttext_index WHERE prompts_prompttext_index MATCH %s LIMIT %s"
    return Q(pk__in=RawSQL(rows, [phrase, limit]))  # noqa: S611  # the words are a parameter


def _parts(wanted: str) -> list[str]:
    """What is looked up in the index: pieces of the text's beginning, or the trigrams of a piece that has one twice.

    The last piece begins early enough to be as long as the others, so that none is too short for the index.
    """
    last = max(0, len(wanted) - PIECE)
    parts: list[str] = []
    for start in range(0, min(len(wanted), PIECE * PIECES), PIECE):
        piece = wanted[min(start, last) :][:PIECE]
        trigrams = [piece[at : at + TRIGRAM] for at in range(max(1, len(piece) - TRIGRAM + 1))]
        once = list(dict.fromkeys(trigrams))
        parts += once if len(once) < len(trigrams) else [piece]
    return list(dict.fromkeys(parts))


def folded_texts(prompt: Prompt) -> str:
    """The case-folded text that a search reads, beside that of the tags."""
    return _fold([prompt.key, prompt.name, stored.of_row(prompt).search_text])


def _fold(texts: Iterable[str]) -> str:
    return folded("\n".join(texts))
