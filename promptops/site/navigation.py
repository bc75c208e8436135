"""The back office's navigation: a table of all pages, in groups for operators.

A model that is registered and not in the table is under "More" in its app's group. Entries that a user may not see are
left out: by the admin site for models, by the table of permissions for other pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from governance.access.permissions import may
from governance.admin.base import actor_of


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the navigation. `target` is a model (`app.Model`) or, with a `capability`, the name of a page."""

    label: str
    target: str
    icon: str = ""
    capability: str = ""
    more: bool = False


@dataclass(slots=True)
class Link:
    """An entry for one request, with its address."""

    label: str
    url: str
    icon: str
    current: bool = False


@dataclass(slots=True)
class Group:
    label: str
    links: list[Link] = field(default_factory=list)
    more: list[Link] = field(default_factory=list)

    @property
    def more_is_open(self) -> bool:
        return any(link.current for link in self.more)


GROUPS: dict[str, list[Entry]] = {
    "Prompts": [
        Entry("Prompts", "prompts.Prompt", "prompt"),
        Entry("Versions", "prompts.PromptVersion", "version"),
        Entry("Rollouts", "prompts.Rollout", "rollout"),
        Entry("Tags", "prompts.PromptTag", more=True),
    ],
    "Playground": [Entry("Playground", "playground", "playground", "playground.run")],
    "Agents": [Entry("Agents", "agents.Agent", "agent")],
    "Workflows": [
        Entry("Workflows", "workflows.Workflow", "workflow"),
        Entry("Runs and approvals", "workflows.WorkflowRun", "approval"),
        Entry("Schedules", "workflows.Schedule", "schedule"),
        Entry("Webhooks", "workflows.Webhook", "webhook"),
        Entry("Workflow versions", "workflows.WorkflowVersion", more=True),
        Entry("Attempts at steps", "workflows.StepAttempt", more=True),
        Entry("Calls of webhooks", "workflows.Delivery", more=True),
        Entry("Workers", "workflows.WorkflowWorker", more=True),
    ],
    "Observe": [
        Entry("Runs", "governance.Run", "run"),
        Entry("Statistics", "admin:governance_run_stats", "stats", "run.read"),
        Entry("Live clients", "governance.Connection", "client"),
        Entry("Audit", "governance.AuditEntry", "audit"),
        Entry("Changes", "governance.Change", more=True),
        Entry("Run texts", "governance.RunContent", more=True),
        Entry("Feedback", "governance.RunFeedback", more=True),
        Entry("Run tallies", "governance.RunTally", more=True),
        Entry("Log counts", "governance.LogCount", more=True),
        Entry("Server processes", "governance.ServerProcess", more=True),
    ],
    "Govern": [
        Entry("Workspaces", "governance.Workspace", "workspace"),
        Entry("Environments", "governance.Environment", "environment"),
        Entry("Users", "governance.User", "user"),
        Entry("Tokens", "governance.Token", "token"),
        Entry("Model providers", "agents.ModelProvider", "provider"),
        Entry("Memberships", "governance.Membership", more=True),
        Entry("Access revisions", "governance.AccessRevision", more=True),
        Entry("Failed logins", "governance.LoginFailures", more=True),
    ],
}

#: The group of models that are not in the table, by app.
GROUP_OF_APP = {"prompts": "Prompts", "agents": "Agents", "workflows": "Workflows", "governance": "Observe"}


def navigation(request: HttpRequest, app_list: list[dict[str, Any]]) -> list[Group]:
    """The groups that the user of the request may see; `app_list` is the admin site's. No query."""
    models = {
        model["model"]._meta.label: (app["app_label"], model)
        for app in app_list
        for model in app["models"]
        if model["admin_url"]
    }
    groups = {label: Group(label) for label in GROUPS}
    for label, entries in GROUPS.items():
        for entry in entries:
            found = models.pop(entry.target, None)
            url = found[1]["admin_url"] if found else _page(request, entry)
            if url:
                _add(groups[label], entry, url)
    for app, model in models.values():
        group = groups[GROUP_OF_APP.get(app, "Govern")]
        _add(group, Entry(str(model["name"]), "", more=True), model["admin_url"])
    _mark_current(groups.values(), request.path)
    return [group for group in groups.values() if group.links or group.more]


def _page(request: HttpRequest, entry: Entry) -> str | None:
    if not entry.capability or not may(actor_of(request), entry.capability):
        return None
    return reverse(entry.target)


def _add(group: Group, entry: Entry, url: str) -> None:
    (group.more if entry.more else group.links).append(Link(entry.label, url, entry.icon))


def _mark_current(groups: Iterable[Group], path: str) -> None:
    """Mark the link of the current page: the longest address that it begins with, since pages are below their list."""
    links = [link for group in groups for link in (*group.links, *group.more) if path.startswith(link.url)]
    if links:
        max(links, key=lambda link: len(link.url)).current = True
