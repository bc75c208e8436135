from django.db.models import QuerySet
from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet, SearchFilter, StableOrdering
from prompts import searching
from prompts.models import Prompt


class PromptFilter(ApiFilterSet):
    q = SearchFilter(method="search", label="In key, name or content, case aside")
    env = filters.CharFilter(field_name="environment__name")
    category = filters.CharFilter(method="of_category", label="One category, exactly")
    tag = filters.CharFilter(method="tagged", label="One tag, exactly")
    key = filters.CharFilter(label="One key, exactly")
    workspace = filters.CharFilter(field_name="environment__workspace_id")
    ordering = StableOrdering(fields=["key", "name", "created_at", "updated_at"])

    def search(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        return searching.narrowed(queryset, value)

    def of_category(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        return searching.of_category(queryset, value)

    def tagged(self, queryset: QuerySet[Prompt], name: str, value: str) -> QuerySet[Prompt]:
        return searching.tagged(queryset, value)
