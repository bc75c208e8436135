"""Conversations with agents, for admins to read."""

from django.contrib import admin
from django.utils.safestring import SafeString

from agents.models import AgentMessage, AgentSession
from governance.admin.base import ReadOnlyAdmin, block


@admin.register(AgentSession)
class AgentSessionAdmin(ReadOnlyAdmin[AgentSession]):
    """Conversations: with which agent, by whom, and how long."""

    list_display = ["session_id", "agent", "actor", "turns", "used_at", "created_at"]
    list_filter = ["agent"]
    list_select_related = ["agent"]
    search_fields = ["session_id", "actor", "agent__key"]
    date_hierarchy = "used_at"
    shown = ["session_id", "agent", "actor", "turns", "created_at", "used_at"]


@admin.register(AgentMessage)
class AgentMessageAdmin(ReadOnlyAdmin[AgentMessage]):
    """The messages of conversations that are still stored."""

    list_display = ["created_at", "session", "role"]
    list_select_related = ["session"]
    list_defer = ["content"]
    search_fields = ["session__session_id", "session__agent__key"]
    shown = ["session", "role", "text", "run_id", "created_at"]

    @admin.display(description="content")
    def text(self, message: AgentMessage) -> SafeString:
        return block(message.content)
