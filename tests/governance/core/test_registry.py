"""The registry: what can be registered, and what the apps have registered when the server is up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agents.providers.protocol import Provider
from agents.providers.services import ProviderUsers
from agents.runtime.toolbox import ToolKind
from governance.access.revision import AccessListener
from governance.admin.base import ChoiceField
from governance.admin.home import Panel
from governance.changes.changelog import CommitListener
from governance.clients.connections import PeriodicTask
from governance.core import registry
from governance.core.registry import Entry
from governance.history.counts import CountedLog
from governance.identity.models import AdminFactory
from governance.realtime.runtime import RuntimeTask, TailListener
from governance.realtime.snapshots import DocumentSource
from governance.runs.log import ActiveRuns, RunSubject
from governance.tenancy.environments import PolicyListener
from governance.tenancy.workspaces import WorkspaceContent
from prompts.usage import PromptRunner
from workflows.engine.supervisor import SupervisorTask

#: Every kind of entry, and how many there are of each; where they have a name, the names in the order of the apps.
REGISTERED: dict[type[Entry], Any] = {
    AccessListener: 2,
    ActiveRuns: 1,
    AdminFactory: 1,
    ChoiceField: 1,
    CommitListener: 2,
    CountedLog: ["audit", "runs"],
    DocumentSource: 1,
    Panel: ["The last day", "Drafts that wait", "Latest versions", "Workflows that wait for approval"],
    PeriodicTask: 3,
    PolicyListener: 1,
    PromptRunner: 1,
    Provider: ["mock", "openai", "claude", "ollama", "gemini"],
    ProviderUsers: ["agents", "workflows"],
    RunSubject: ["prompt", "agent", "workflow"],
    RuntimeTask: 1,
    SupervisorTask: 1,
    TailListener: 1,
    ToolKind: ["agent", "http", "workflow"],
    WorkspaceContent: ["prompts", "agents", "workflows"],
}
NAMES = {
    CountedLog: "name",
    Panel: "title",
    Provider: "name",
    ProviderUsers: "kind",
    RunSubject: "word",
    ToolKind: "name",
}
NAMES[WorkspaceContent] = "plural"


@dataclass(frozen=True, slots=True)
class Sign(Entry):
    text: str


@dataclass(frozen=True, slots=True)
class NeonSign(Sign):
    pass


@pytest.fixture
def no_signs() -> Iterator[None]:
    yield
    for kind in (Sign, NeonSign):
        registry._entries.pop(kind, None)


@pytest.mark.parametrize("kind", REGISTERED, ids=lambda kind: kind.__name__)
def test_the_apps_have_registered_what_is_listed_here(kind: type[Entry]) -> None:
    found = registry.entries(kind)
    wanted = REGISTERED[kind]
    assert ([getattr(entry, NAMES[kind]) for entry in found] if kind in NAMES else len(found)) == wanted


def test_every_kind_that_has_entries_is_listed_here() -> None:
    assert set(registry._entries) == set(REGISTERED)


def test_entries_are_read_by_their_own_kind_in_the_order_in_which_they_were_registered(no_signs: None) -> None:
    registry.register(Sign("a"), NeonSign("b"))
    registry.register(Sign("c"))
    assert registry.entries(Sign) == (Sign("a"), Sign("c"))
    assert registry.entries(NeonSign) == (NeonSign("b"),)


def test_a_kind_that_nobody_registered_has_no_entries() -> None:
    assert registry.entries(Sign) == ()


def test_the_only_entry_of_a_kind_is_asked_for_and_none_or_several_are_an_error(no_signs: None) -> None:
    with pytest.raises(LookupError, match="expected one Sign in the registry, found 0"):
        registry.only(Sign)
    registry.register(Sign("a"))
    assert registry.only(Sign) == Sign("a")
    registry.register(Sign("b"))
    with pytest.raises(LookupError, match="found 2"):
        registry.only(Sign)
