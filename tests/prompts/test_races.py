"""Writers that meet: on PostgreSQL by row locks, on SQLite by one writer at a time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from governance.access.actors import SYSTEM
from governance.changes.models import Change
from governance.tenancy import environments
from governance.tenancy.models import Environment, Workspace
from prompts import documents, services
from prompts.models import Prompt, PromptVersion
from tests.conftest import api

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run each on a thread and a connection of its own, all started together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            barrier.wait(timeout=10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, call) for call in calls]]


def while_not_committed(first: Callable[[], Any], second: Callable[[], Any]) -> None:
    """Run `first` in a transaction, start `second` on another thread and give it time to run into its locks; commit."""
    with ThreadPoolExecutor(1) as pool:

        def run() -> None:
            try:
                second()
            finally:
                connection.close()

        with transaction.atomic():
            first()
            waiting = pool.submit(run)
            time.sleep(0.3)
        waiting.result(timeout=30)


@pytest.fixture
def prod(workspace: Workspace) -> Environment:
    return Environment.objects.get(workspace=workspace, name="prod")


def served(prompt: Prompt) -> str | None:
    document = documents.served(Prompt.objects.select_related(*documents.SERVED_WITH).get(pk=prompt.pk))
    return documents.encode(document) if document else None


def test_publishes_at_once_all_make_a_version_or_conflict_and_none_is_lost(prod: Environment) -> None:
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="greeting")
    token = settings.PROMPTOPS_TOKEN or ""

    def save_and_publish(number: int) -> Callable[[], list[Any]]:
        def call() -> list[Any]:
            client = api(token)
            client.patch(f"/api/prompts/{prompt.pk}", {"content": f"text {number}"})
            return [
                client.post("/api/prompts/publish", {"id": str(prompt.pk)}),
                client.post("/api/prompts/publish", {"id": str(prompt.pk), "version": "release"}),
            ]

        return call

    answers = [answer for pair in at_once(*map(save_and_publish, range(6))) for answer in pair]
    assert {answer.status_code for answer in answers} <= {200, 409}
    versions = list(PromptVersion.objects.filter(prompt=prompt))
    labels = [version.label for version in versions]
    assert len(labels) == len(set(labels)) == len({version.number for version in versions})
    promised = {(a.json()["data"]["version"], a.json()["data"]["content"]) for a in answers if a.status_code == 200}
    assert promised == {(version.label, version.content) for version in versions}
    changes = list(Change.objects.filter(environment=prod).order_by("revision"))
    assert [change.revision for change in changes] == list(range(1, len(changes) + 1))
    assert changes[-1].document == served(prompt)


def test_a_draft_that_is_saved_while_the_environment_begins_to_require_publishing_is_not_announced_as_served(
    prod: Environment,
) -> None:
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="greeting", content="one")
    while_not_committed(
        lambda: environments.update_environment(actor=SYSTEM, environment=prod, require_publish=True),
        lambda: services.update_prompt(actor=SYSTEM, prompt=prompt, content="two"),
    )
    assert Prompt.objects.get(pk=prompt.pk).content == "two"
    last = Change.objects.filter(environment=prod).latest("revision")
    assert (last.type, last.document, served(prompt)) == ("prompt.updated", None, None)


def test_prompts_that_change_places_at_once_do_not_deadlock(prod: Environment) -> None:
    dev = Environment.objects.get(workspace_id=prod.workspace_id, name="dev")
    made = [
        services.create_prompt(actor=SYSTEM, environment=env, key=f"{env.name}-{number}")
        for env in (prod, dev)
        for number in range(3)
    ]
    for _ in range(5):

        def cross(prompt: Prompt) -> Callable[[], Any]:
            there = dev if Prompt.objects.get(pk=prompt.pk).environment_id == prod.pk else prod
            return lambda: services.update_prompt(actor=SYSTEM, prompt=prompt, environment=there)

        at_once(*map(cross, made))
    assert Prompt.objects.filter(environment=prod).count() == 3
    for env in (prod, dev):
        revisions = list(Change.objects.filter(environment=env).order_by("pk").values_list("revision", flat=True))
        assert revisions == list(range(1, 3 + 5 * 6 + 1))


def test_a_write_that_waited_for_another_starts_from_what_that_one_left(prod: Environment) -> None:
    prompt = services.create_prompt(actor=SYSTEM, environment=prod, key="greeting", content="one")
    services.publish(actor=SYSTEM, prompt=prompt)

    def publish_two() -> None:
        services.update_prompt(actor=SYSTEM, prompt=prompt, content="two")
        services.publish(actor=SYSTEM, prompt=prompt)

    while_not_committed(
        publish_two, lambda: services.update_prompt(actor=SYSTEM, prompt=prompt, name="Named meanwhile")
    )
    now = Prompt.objects.get(pk=prompt.pk)
    assert (now.name, now.content, now.status) == ("Named meanwhile", "two", "published")
    last = Change.objects.filter(environment=prod).latest("revision")
    assert (last.type, last.served, last.document) == ("prompt.updated", False, served(prompt))
