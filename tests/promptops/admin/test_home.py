"""The home page, and the preview of a draft."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.runs import log
from governance.runs.models import Run
from prompts import services
from prompts.models import Prompt
from tests.contract.vectors import load
from tests.promptops.admin.browser import Browser
from tests.promptops.admin.conftest import World
from workflows.models import AttemptState, RunState, StepAttempt, WorkflowRun

Browse = Callable[..., Browser]
HOME = "/admin/"


def test_home_tells_of_what_one_may_see_and_of_nothing_else(world: World, hidden: World, browse: Browse) -> None:
    for row in (world[Prompt], hidden[Prompt]):
        services.update_prompt(actor=SYSTEM, prompt=row, content="waiting")
    page = browse(Role.VIEWER).open(HOME)
    assert "xyzzy" not in page.text
    assert page.text.count(">greeting</a>") == 3  # two publishes and a draft
    today = next(facts for facts in page.response.context["panels"] if facts["panel"].title == "The last day")
    assert today["figures"]["total"] == Run.objects.filter(workspace_id="default").count() < Run.objects.count()
    assert "xyzzy" in browse(Role.ADMIN).open(HOME).text


def test_home_asks_the_database_as_often_for_many_things_as_for_few(
    world: World, browse: Browse, make_prompt: Any
) -> None:
    browser = browse()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.open(HOME).status == 200
        return len(captured)

    few = queries()
    for number in range(3):
        make_prompt(f"more-{number}", publish=True)
        make_prompt(f"draft-{number}")
        run = log.start(actor=SYSTEM, workspace_id="default", source="playground", provider=f"p{number}", model="m")
        log.finish(run, provider=f"p{number}", model="m", prompt_tokens=1, output_tokens=1)
    assert queries() == few <= 16


def test_home_names_the_workflows_that_wait_for_somebody_and_no_others(
    world: World, hidden: World, browse: Browse
) -> None:
    browser, link = browse(Role.VIEWER), ">chain</a>"
    for rows in (world, hidden):
        rows[WorkflowRun].status = RunState.WAITING
        rows[WorkflowRun].save(update_fields=["status"])
        rows[StepAttempt].status = AttemptState.WAITING
        rows[StepAttempt].save(update_fields=["status"])
    assert link not in browser.open(HOME).text, "it waits for a time and not for a person"
    StepAttempt.objects.update(type="approval")
    page = browser.open(HOME)
    assert page.text.count(link) == 1
    assert "xyzzy" not in page.text
    StepAttempt.objects.update(decision={"approved": True})
    assert link not in browser.open(HOME).text


def test_home_says_what_is_degraded(browse: Browse, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    browser = browse(Role.VIEWER)
    assert "redis" not in browser.open(HOME).text
    settings.REDIS_URL = "redis://127.0.0.1:1"

    class Gone:
        async def group_send(self, *args: Any) -> None:
            raise ConnectionError("nobody there")

    monkeypatch.setattr("promptops.server.probes.get_channel_layer", Gone)
    text = browser.open(HOME).text
    assert "<strong>redis</strong>: down: changes reach other processes with a delay of up to a second" in text


def preview(browser: Browser, body: Any) -> Any:
    url = reverse("admin:prompts_prompt_preview")
    return browser.client.post(url, body, content_type="application/json")


@pytest.mark.parametrize("vector", load("rendering"), ids=lambda vector: vector["name"])
def test_a_preview_is_what_applications_render(browse: Browse, vector: dict[str, Any]) -> None:
    body = {"content": vector["template"], "variables": vector["variables"]}
    answer = preview(browse(Role.VIEWER), body).json()
    assert answer["text"] == vector["text"]
    assert answer["missing"] == vector["missing"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        '{"content": "x"}',
        '{"content": 1, "variables": {}}',
        '{"content": "{{a}}", "variables": []}',
        '{"content": "x", "variables": {"a": "\\u0000"}}',
    ],
)
def test_a_preview_of_what_is_no_text_says_so(browse: Browse, body: str) -> None:
    answer = preview(browse(Role.VIEWER), body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_a_preview_that_would_be_gigabytes_is_refused(browse: Browse) -> None:
    body = {"content": "{{a}}" * 10_000, "variables": {"a": "x" * 100_000}}
    assert preview(browse(Role.VIEWER), body).status_code == 400
