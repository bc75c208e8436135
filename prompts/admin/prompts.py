"""The list of prompts, and a prompt's page."""

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from rest_framework.exceptions import APIException

from governance.access.actors import Actor
from governance.admin.base import ServiceAdmin, actor_of, block
from governance.api.parsing import loads
from governance.core.errors import InvalidInputError
from governance.templatetags.admin_tags import ago, badge
from governance.tenancy.admin.filters import EnvironmentFilter, WorkspaceFilter
from prompts import searching, services
from prompts.admin.filters import CategoryFilter, StatusFilter, TagFilter
from prompts.admin.forms import PromptForm
from prompts.admin.operations import PromptOperations
from prompts.content import stored
from prompts.content.rendering import TooLongError
from prompts.content.text import TextContent
from prompts.models import Prompt, PromptVersion, Rollout, long_columns

VERSIONS_ON_THE_PAGE = 8
PREVIEW_LIMIT = 1_000_000  # characters of values


@admin.register(Prompt)
class PromptAdmin(PromptOperations, ServiceAdmin[Prompt]):
    form = PromptForm
    list_display = ["key", "env", "workspace", "state", "live_version", "gray", "tags", "last_change"]
    list_filter = [StatusFilter, EnvironmentFilter, WorkspaceFilter, CategoryFilter, TagFilter]
    list_select_related = ["environment__workspace", "live", "rollout"]
    list_defer = long_columns("", "live")
    search_fields = ["key", "name", "content", "tags__name"]
    ordering = ["-updated_at", "-id"]
    add_fields = ["environment", "key", "name", "category", "tags", "content", "model", "config", "version"]
    change_fields = ["content", "model", "config", "version", "key", "name", "category", "tags", "environment"]
    readonly_fields = ["created_at", "updated_at"]
    change_form_template = "prompts/admin/prompt.html"
    actions = ["delete_selected", "publish_selected"]

    class Media:
        css = {"all": ["prompts/prompts.css"]}
        js = [forms.Script("prompts/preview.js", type="module")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prompt]:
        return super().get_queryset(request).prefetch_related("tags")

    def narrowed(self, rows: QuerySet[Prompt], word: str, fields: Sequence[str]) -> QuerySet[Prompt]:
        return searching.narrowed(rows, word, tags=True)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_POST(self.preview_view))
        return [path("preview/", preview, name="prompts_prompt_preview"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Prompt | None = None) -> list[Any]:
        fields = super().get_fields(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fields
        return ["text" if name == "content" else name for name in fields]

    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        """The text, which the preview follows; what else is served with it; what it is found by."""
        fields = self.get_fields(request, obj)
        parts = [("content", "text"), ("model", "config", "version")]
        rest = [name for name in fields if not any(name in part for part in parts)]
        names = (None, "Served with it", "About it")
        return [
            (name, {"fields": [field for field in fields if field in part]})
            for name, part in zip(names, [*parts, rest], strict=True)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Prompt | None = None) -> list[Any]:
        return [*super().get_readonly_fields(request, obj), "text"]

    # --- columns and facts --------------------------------------------------------------------------------------

    @admin.display(description="environment", ordering="environment__name")
    def env(self, prompt: Prompt) -> str:
        return prompt.environment.name

    @admin.display(ordering="environment__workspace__name")
    def workspace(self, prompt: Prompt) -> str:
        return prompt.environment.workspace.name

    @admin.display(description="status")
    def state(self, prompt: Prompt) -> SafeString:
        return badge(prompt.status)

    @admin.display(description="live", ordering="live__label")
    def live_version(self, prompt: Prompt) -> str | None:
        return prompt.live.label if prompt.live else None

    @admin.display(description="rollout", empty_value="")
    def gray(self, prompt: Prompt) -> SafeString | None:
        rollout: Rollout | None = getattr(prompt, "rollout", None)
        if rollout is None:
            return None
        weight = f"{float(rollout.weight_a):g} % A"
        return format_html('<span class="badge {}">{}</span>', "info" if rollout.enabled else "", weight)

    @admin.display
    def tags(self, prompt: Prompt) -> str:
        return ", ".join(prompt.tag_names)

    @admin.display(description="last change", ordering="updated_at")
    def last_change(self, prompt: Prompt) -> SafeString:
        if not prompt.changed_by:
            return format_html("{}", ago(prompt.updated_at))
        return format_html("{} by {}", ago(prompt.updated_at), prompt.changed_by)

    @admin.display(description="content")
    def text(self, prompt: Prompt) -> SafeString:
        return block(stored.of_row(prompt).text)

    def belongings(self, rows: Iterable[Prompt]) -> dict[str, int]:
        return {
            "versions": PromptVersion.objects.filter(prompt__in=list(rows)).count(),
            "rollouts": Rollout.objects.filter(prompt__in=list(rows)).count(),
        }

    # --- the page -----------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: Prompt | None) -> dict[str, Any]:
        context: dict[str, Any] = {"preview_url": reverse("admin:prompts_prompt_preview")}
        if row is not None:
            rollouts = Rollout.objects.select_related("variant_a", "variant_b").filter(prompt=row)
            context["versions"] = row.versions.defer(*long_columns())[:VERSIONS_ON_THE_PAGE]
            context["rollout"] = rollouts.first()
            context["runs_query"] = urlencode({"q": row.key})
        return context

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """`{content, variables}` as JSON: the text as an application would render it, by the same code."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return JsonResponse(_preview(loads(request.body)))
        except (APIException, InvalidInputError) as error:
            return JsonResponse({"error": str(error)}, status=400)

    # --- through the services -----------------------------------------------------------------------------------

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Prompt:
        return services.create_prompt(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Prompt, values: dict[str, Any], if_match: str | None) -> Prompt:
        return services.update_prompt(actor=actor, prompt=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Prompt) -> None:
        services.delete_prompt(actor=actor, prompt=row)

    @admin.action(permissions=["change"], description="Publish selected %(verbose_name_plural)s")
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        actor = actor_of(request)
        self.for_each(request, queryset, lambda row: services.publish(actor=actor, prompt=row), "Published")


def _preview(body: object) -> dict[str, object]:
    """The rendered text, and the names of its variables. Raises InvalidInputError."""
    match body:
        case {"content": str(text), "variables": dict(variables)}:
            content = TextContent(text)
        case _:
            raise InvalidInputError("expected a text and its variables")
    try:
        rendered = content.render(variables, limit=PREVIEW_LIMIT)
    except TooLongError:
        raise InvalidInputError("with these values the text is too long to be shown") from None
    names = {"missing": rendered.missing, "unused": rendered.unused, "variables": content.variables}
    return {"text": rendered.text, **names}
