"""Prompts that have a text in their key, name, content or tags, the case of each letter aside.

What is looked through is a row beside each prompt, folded once, by an index of its trigrams: SQLite's FTS5, and pg_trgm
where PostgreSQL has it (migration 0004). A text of one or two characters has no trigram: then all rows are read.
"""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, prefetch_related_objects
from django.db.models.expressions import RawSQL

from prompts.models import Prompt, PromptText

FIELDS = ("key", "name", "content", "tags")
#: So many that were found are named one by one. More are common enough to be met on the way through a list.
FEW = 2000


def remember(*prompts: Prompt) -> None:
    """Let prompts be found by what they are now. In the transaction that changed one of FIELDS."""
    prefetch_related_objects(prompts, "tags")
    rows = [
        PromptText(prompt=prompt, text=_fold([prompt.key, prompt.name, prompt.content]), tags=_fold(prompt.tag_names))
        for prompt in prompts
    ]
    PromptText.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["prompt"], update_fields=["text", "tags"]
    )


def narrowed(prompts: QuerySet[Prompt], text: str, *, tags: bool = False) -> QuerySet[Prompt]:
    """Those of `prompts` that have `text` in their key, name or content, or in one of their tags where that counts."""
    wanted = _fold([text])
    there = Q(text__contains=wanted) | Q(tags__contains=wanted) if tags else Q(text__contains=wanted)
    found = PromptText.objects.filter(_by_trigrams(wanted, tags=tags) or there)
    few = list(found.values_list("prompt", flat=True)[: FEW + 1])
    if len(few) <= FEW:
        return prompts.filter(pk__in=few)
    return prompts.filter(Exists(PromptText.objects.filter(there, prompt=OuterRef("pk"))))


def _by_trigrams(wanted: str, *, tags: bool) -> Q | None:
    """By SQLite's index. PostgreSQL's needs no other question than the one that it answers without."""
    if connection.vendor != "sqlite" or len(wanted) < 3 or "\0" in wanted:
        return None
    phrase = wanted.replace('"', '""')
    rows = "SELECT rowid FROM prompts_prompttext_index WHERE prompts_prompttext_index MATCH %s LIMIT %s"
    return Q(pk__in=RawSQL(rows, [f'{"" if tags else "text : "}"{phrase}"', FEW + 1]))  # noqa: S611  # the words are a parameter


def _fold(texts: Iterable[str]) -> str:
    return "\n".join(texts).casefold()
