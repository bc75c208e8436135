"""A write, its audit entry and its change are one: all of them happen, each once, or none does."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from governance.access.actors import SYSTEM
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.core.errors import ConflictError, InvalidInputError, NotFoundError, PreconditionError
from governance.tenancy.models import Environment
from prompts import services
from prompts.models import Prompt, PromptTag, PromptVersion, Rollout

Write = Callable[[Prompt, Callable[[str], Environment]], Any]
HALF = {"variant_a": "v2", "variant_b": "v1", "weight_a": Decimal("50")}

#: What is done: by name, the service's call, the audit entry it makes, and its changes.
WRITES: dict[str, tuple[Write, tuple[str, str], list[str]]] = {
    "create": (
        lambda prompt, env: services.create_prompt(
            actor=SYSTEM, environment=env("prod"), key="new", content="x", tags=["t"]
        ),
        ("create", "prompt"),
        ["prompt.created"],
    ),
    "save the draft": (
        lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt, content="four", name="N"),
        ("update", "prompt"),
        ["prompt.updated"],
    ),
    "tag": (
        lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt, tags=["z"]),
        ("update", "prompt"),
        ["prompt.updated"],
    ),
    "move": (
        lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt, key="moved", environment=env("test")),
        ("update", "prompt"),
        ["prompt.deleted", "prompt.updated"],
    ),
    "publish": (
        lambda prompt, env: services.publish(actor=SYSTEM, prompt=prompt, note="why"),
        ("publish", "prompt"),
        ["prompt.published"],
    ),
    "roll back": (
        lambda prompt, env: services.rollback(actor=SYSTEM, prompt=prompt, version="v1"),
        ("rollback", "prompt"),
        ["prompt.rolled_back"],
    ),
    "change the rollout": (
        lambda prompt, env: services.set_rollout(actor=SYSTEM, prompt=prompt, values={"weight_a": Decimal("1.5")}),
        ("update", "rollout"),
        ["rollout.updated"],
    ),
    "end the rollout": (
        lambda prompt, env: services.delete_rollout(actor=SYSTEM, prompt=prompt),
        ("delete", "rollout"),
        ["rollout.deleted"],
    ),
    "delete": (
        lambda prompt, env: services.delete_prompt(actor=SYSTEM, prompt=prompt),
        ("delete", "prompt"),
        ["prompt.deleted"],
    ),
}

#: What changes nothing, and is said yes to.
IDLE: dict[str, Write] = {
    "save what is there": lambda prompt, env: services.update_prompt(
        actor=SYSTEM,
        prompt=prompt,
        key=prompt.key,
        environment=env("prod"),
        content=prompt.content,
        tags=["a", "b"],
        config={"b": 1, "a": 2},
    ),
    "save nothing": lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt),
    "publish what is live": lambda prompt, env: services.publish(actor=SYSTEM, prompt=live(prompt), note="again"),
    "publish what is live by name": lambda prompt, env: services.publish(
        actor=SYSTEM, prompt=live(prompt), version="v2"
    ),
    "roll back to what is live": lambda prompt, env: services.rollback(actor=SYSTEM, prompt=live(prompt), version="v2"),
    "set the rollout as it is": lambda prompt, env: services.set_rollout(actor=SYSTEM, prompt=prompt, values=HALF),
}

#: What is said no to, after some of the work was done.
REFUSED: dict[str, tuple[Write, type[Exception]]] = {
    "create with a taken key": (
        lambda prompt, env: services.create_prompt(actor=SYSTEM, environment=env("prod"), key="greeting"),
        ConflictError,
    ),
    "move to a taken key": (
        lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt, key="taken", tags=["z"]),
        ConflictError,
    ),
    "save on a stale entity tag": (
        lambda prompt, env: services.update_prompt(actor=SYSTEM, prompt=prompt, if_match='"0"', content="x"),
        PreconditionError,
    ),
    "publish under a taken label": (
        lambda prompt, env: services.publish(actor=SYSTEM, prompt=prompt, version="v1"),
        ConflictError,
    ),
    "roll back to nowhere": (
        lambda prompt, env: services.rollback(actor=SYSTEM, prompt=prompt, version="v9"),
        NotFoundError,
    ),
    "a rollout with equal variants": (
        lambda prompt, env: services.set_rollout(actor=SYSTEM, prompt=prompt, values={"variant_a": "v1"}),
        InvalidInputError,
    ),
}


def live(prompt: Prompt) -> Prompt:
    """The prompt with its draft equal to the live version again, without a trace in the logs."""
    version = prompt.versions.get(label="v2")
    Prompt.objects.filter(pk=prompt.pk).update(content=version.content, draft_digest=version.digest)
    return prompt


@pytest.fixture
def prompt(environment: Callable[[str], Environment]) -> Prompt:
    """Versions v1 and v2 (live), a draft that differs, tags, and a rollout; and a second prompt."""
    prod = environment("prod")
    services.create_prompt(actor=SYSTEM, environment=prod, key="taken")
    made = services.create_prompt(
        actor=SYSTEM, environment=prod, key="greeting", content="one", tags=["a", "b"], config={"a": 2, "b": 1}
    )
    services.publish(actor=SYSTEM, prompt=made)
    services.update_prompt(actor=SYSTEM, prompt=made, content="two")
    services.publish(actor=SYSTEM, prompt=made)
    services.update_prompt(actor=SYSTEM, prompt=made, content="three")
    services.set_rollout(actor=SYSTEM, prompt=made, values=HALF)
    return Prompt.objects.get(pk=made.pk)


def state() -> dict[str, Any]:
    """Everything that a write could have touched, row by row."""
    tables = (Prompt, PromptTag, PromptVersion, Rollout, AuditEntry, Change, Environment)
    return {table.__name__: list(table._default_manager.order_by("pk").values()) for table in tables}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_makes_its_audit_entry_and_its_changes_each_once_with_consecutive_revisions(
    prompt: Prompt, environment: Callable[[str], Environment], name: str
) -> None:
    write, entry, types = WRITES[name]
    entries, changes = set(AuditEntry.objects.values_list("pk")), set(Change.objects.values_list("pk"))
    write(prompt, environment)
    made = AuditEntry.objects.order_by("created_at").exclude(pk__in=[pk for (pk,) in entries])
    assert [(row.action, row.resource) for row in made] == [entry]
    new = Change.objects.order_by("pk").exclude(pk__in=[pk for (pk,) in changes])
    assert [change.type for change in new] == types
    for env in Environment.objects.all():
        revisions = list(Change.objects.filter(environment=env).order_by("pk").values_list("revision", flat=True))
        assert revisions == list(range(1, env.revision + 1))


@pytest.mark.parametrize("broken", [AuditEntry, Change], ids=["audit", "change"])
@pytest.mark.parametrize("name", WRITES)
def test_when_the_audit_entry_or_the_change_cannot_be_written_nothing_happened(
    prompt: Prompt,
    environment: Callable[[str], Environment],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: type[AuditEntry] | type[Change],
) -> None:
    write, _, types = WRITES[name]
    before = state()

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        if getattr(self, "type", types[-1]) == types[-1]:  # the last change of those that are made
            raise RuntimeError("disk full")

    monkeypatch.setattr(broken, "save", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        write(prompt, environment)
    assert state() == before


@pytest.mark.parametrize("name", IDLE)
def test_a_write_that_changes_nothing_writes_nothing(
    prompt: Prompt, environment: Callable[[str], Environment], name: str
) -> None:
    if "live" in name:
        live(prompt)
    before = state()
    IDLE[name](prompt, environment)
    assert state() == before


@pytest.mark.parametrize("name", REFUSED)
def test_a_write_that_is_refused_writes_nothing(
    prompt: Prompt, environment: Callable[[str], Environment], name: str
) -> None:
    write, error = REFUSED[name]
    before = state()
    with pytest.raises(error):
        write(prompt, environment)
    assert state() == before


def test_a_write_to_what_was_deleted_meanwhile_is_not_found_and_writes_nothing(prompt: Prompt) -> None:
    services.delete_prompt(actor=SYSTEM, prompt=Prompt.objects.get(pk=prompt.pk))
    before = state()
    for write in (
        lambda: services.update_prompt(actor=SYSTEM, prompt=prompt, content="x"),
        lambda: services.publish(actor=SYSTEM, prompt=prompt),
        lambda: services.set_rollout(actor=SYSTEM, prompt=prompt, values={"weight_a": Decimal(1)}),
        lambda: services.delete_prompt(actor=SYSTEM, prompt=prompt),
    ):
        with pytest.raises(NotFoundError):
            write()
    assert state() == before
