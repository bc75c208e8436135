"""What belongs to prompts and is written with them: to be looked at."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, as_json, block
from governance.tenancy.admin.filters import EnvironmentFilter, WorkspaceFilter
from prompts.content import stored
from prompts.models import PromptTag, PromptVersion, Rollout, long_columns


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin[PromptVersion]):
    list_display = ["created_at", "prompt", "label", "env", "workspace", "live", "note", "created_by"]
    list_filter = [EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt__environment__workspace"]
    list_defer = long_columns("", "prompt")
    search_fields = ["prompt__key", "label", "note", "created_by"]
    ordering = ["-created_at", "-id"]
    shown = ["prompt", "label", "number", "text", "model", "parameters", "note", "created_by", "created_at", "live"]

    @admin.display(description="environment", ordering="prompt__environment__name")
    def env(self, version: PromptVersion) -> str:
        return version.prompt.environment.name

    @admin.display(ordering="prompt__environment__workspace__name")
    def workspace(self, version: PromptVersion) -> str:
        return version.prompt.environment.workspace.name

    @admin.display(boolean=True)
    def live(self, version: PromptVersion) -> bool:
        return version.prompt.live_id == version.pk

    @admin.display(description="content")
    def text(self, version: PromptVersion) -> SafeString:
        return block(stored.of_row(version).text)

    @admin.display(description="config")
    def parameters(self, version: PromptVersion) -> SafeString:
        return as_json(version.config)


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin[Rollout]):
    """All rollouts there are. One is made, changed and ended from its prompt's page."""

    list_display = ["prompt", "env", "workspace", "enabled", "variant_a", "variant_b", "weight_a", "updated_at"]
    list_filter = ["enabled", EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt__environment__workspace", "variant_a", "variant_b"]
    list_defer = long_columns("prompt", "variant_a", "variant_b")
    search_fields = ["prompt__key"]
    ordering = ["-updated_at", "-id"]
    shown = ["prompt", "enabled", "variant_a", "variant_b", "weight_a", "seed", "created_at", "updated_at", "edit"]

    @admin.display(description="environment", ordering="prompt__environment__name")
    def env(self, rollout: Rollout) -> str:
        return rollout.prompt.environment.name

    @admin.display(ordering="prompt__environment__workspace__name")
    def workspace(self, rollout: Rollout) -> str:
        return rollout.prompt.environment.workspace.name

    @admin.display(description="")
    def edit(self, rollout: Rollout) -> SafeString:
        url = reverse("admin:prompts_prompt_rollout", args=[rollout.prompt_id])
        return format_html('<a href="{}">Change this rollout</a>', url)


@admin.register(PromptTag)
class PromptTagAdmin(ReadOnlyAdmin[PromptTag]):
    """Which tags there are, and on what. They are edited with their prompt."""

    list_display = ["name", "prompt"]
    list_filter = [EnvironmentFilter, WorkspaceFilter]
    list_select_related = ["prompt"]
    list_defer = long_columns("prompt")
    search_fields = ["name", "prompt__key"]
    ordering = ["name", "id"]
