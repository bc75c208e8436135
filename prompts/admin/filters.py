"""The list's filters: what they offer is what one may see, and never more of it than one can read."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from governance.admin.base import actor_of
from governance.querysets import visible_to
from prompts.models import Prompt, PromptTag

OFFERED = 30


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("draft", "Never published"), ("published", "Published"), ("modified", "Changed since")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        if self.value() == "draft":
            return queryset.filter(live=None)
        if self.value() == "published":
            return queryset.filter(live__digest=F("draft_digest"))
        if self.value() == "modified":
            return queryset.exclude(live=None).exclude(live__digest=F("draft_digest"))
        return queryset


class WordFilter(admin.SimpleListFilter):
    """By one word of many. One that is not offered can still be in the address, as a link has it."""

    def words(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Those that there are, in order, each once."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = list(self.words(request)[:OFFERED])
        chosen = self.used_parameters.get(self.parameter_name or "")
        if chosen and chosen not in offered:
            offered.insert(0, chosen)
        return [(word, word) for word in offered]


class CategoryFilter(WordFilter):
    title = "category"
    parameter_name = "category"

    def words(self, request: HttpRequest) -> QuerySet[Any, Any]:
        seen = visible_to(actor_of(request), Prompt.objects.exclude(category=""))
        return seen.order_by("category").values_list("category", flat=True).distinct()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        return queryset.filter(category=self.value()) if self.value() else queryset


class TagFilter(WordFilter):
    title = "tag"
    parameter_name = "tag"

    def words(self, request: HttpRequest) -> QuerySet[Any, Any]:
        seen = visible_to(actor_of(request), PromptTag.objects.all())
        return seen.order_by("name").values_list("name", flat=True).distinct()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        if not self.value():
            return queryset
        return queryset.filter(pk__in=PromptTag.objects.filter(name=self.value()).values("prompt"))
