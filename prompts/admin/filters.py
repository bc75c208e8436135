"""The list's filters: what they offer is what one may see, and never more of it than one can read."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from governance.access.visibility import visible_to
from governance.admin.base import actor_of
from prompts import searching
from prompts.models import Prompt, PromptTag

LOOKED_AT = 300
OFFERED = 30


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("draft", "Never published"), ("published", "Published"), ("modified", "Changed since")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class WordFilter(admin.SimpleListFilter):
    """By one word of many: those of the prompts that were changed last are offered, others can be in the address."""

    def words(self, latest: QuerySet[Prompt]) -> QuerySet[Any, Any]:
        """Those of the `latest` prompts, each once."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        latest = visible_to(actor_of(request), Prompt.objects.order_by("-updated_at", "-id"))[:LOOKED_AT]
        offered = sorted(self.words(latest)[:OFFERED])
        chosen = self.used_parameters.get(self.parameter_name or "")
        if chosen and chosen not in offered:
            offered.insert(0, chosen)
        return [(word, word) for word in offered]


class CategoryFilter(WordFilter):
    title = "category"
    parameter_name = "category"

    def words(self, latest: QuerySet[Prompt]) -> QuerySet[Any, Any]:
        named = Prompt.objects.filter(pk__in=latest.values("pk")).exclude(category="")
        return named.order_by().values_list("category", flat=True).distinct()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        return searching.of_category(queryset, self.value() or "") if self.value() else queryset


class TagFilter(WordFilter):
    title = "tag"
    parameter_name = "tag"

    def words(self, latest: QuerySet[Prompt]) -> QuerySet[Any, Any]:
        tags = PromptTag.objects.filter(prompt__in=latest.values("pk"))
        return tags.order_by().values_list("name", flat=True).distinct()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> QuerySet[Prompt]:
        return searching.tagged(queryset, self.value() or "") if self.value() else queryset
