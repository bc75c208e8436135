"""Model providers in the back office."""

from typing import Any

from agents.models import Agent, ModelProvider
from governance.tenancy.models import Environment


def test_a_form_says_what_a_provider_does_not_know_and_a_name_that_is_used_stays(browse: Any) -> None:
    row = ModelProvider.objects.create(name="ours", base_url="https://ours.example/v1", default_model="m")
    browser = browse()
    saved = browser.change_page(row).send(unsupported="stream_options, top_k")
    assert saved.status == 302, saved.errors
    row.refresh_from_db()
    assert row.unsupported == ["stream_options", "top_k"]
    again = browser.change_page(row).send(unsupported="nonsense")
    assert "nonsense" in again.errors["unsupported"][0]
    environment = Environment.objects.get(workspace_id="default", name="prod")
    Agent.objects.create(workspace_id="default", environment=environment, key="helper", prompt="Hi", provider="ours")
    renamed = browser.change_page(row).send(name="theirs")
    assert (renamed.status, "agents helper" in str(renamed.errors)) == (200, True)
    browser.delete(row)
    assert ModelProvider.objects.get(pk=row.pk).name == "ours"
