"""A small set of examples: enough to fetch, publish, roll back, and run something in the first minute."""

from typing import Any

from django.db import transaction

from agents.services import create_agent
from governance.access.actors import Actor
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment
from prompts import services
from workflows.services import create_workflow

#: The prompt that quickstart's commands use; it has two versions.
SHOWN = "welcome.message"

_PROMPTS: list[dict[str, Any]] = [
    {
        "key": SHOWN,
        "name": "Welcome message",
        "category": "onboarding",
        "tags": ["example", "onboarding"],
        "contents": ["Hello {{name}}.", "Hello {{name}}, welcome to {{product}}!"],
        "model": "mock-1",
        "config": {"temperature": 0.3},
    },
    {
        "key": "support.reply",
        "name": "Support reply",
        "category": "support",
        "tags": ["example"],
        "contents": [
            "You answer for {{company.name}}. Be brief and kind.\n\nThe customer writes:\n{{message}}\n\nYour reply:"
        ],
        "model": "mock-1",
        "config": {"temperature": 0.2, "max_tokens": 400},
    },
    {
        "key": "text.summary",
        "name": "Summary",
        "category": "text",
        "tags": ["example"],
        "contents": ["Summarise in one sentence:\n\n{{input}}"],
        "model": "mock-1",
        "config": {},
    },
]


@transaction.atomic
def load(*, actor: Actor) -> None:
    """Put the examples into `default`/`prod`."""
    prod = Environment.objects.select_related("workspace").get(workspace_id=DEFAULT_WORKSPACE, name="prod")
    for example in _PROMPTS:
        first, *later = example["contents"]
        fields = {name: value for name, value in example.items() if name != "contents"}
        prompt = services.create_prompt(actor=actor, environment=prod, content=first, **fields)
        services.publish(actor=actor, prompt=prompt, note="First version")
        for content in later:
            prompt = services.update_prompt(actor=actor, prompt=prompt, content=content)
            services.publish(actor=actor, prompt=prompt, note="Names the product")
    create_agent(
        actor=actor, environment=prod, key="support", name="Support agent", prompt_key="support.reply", provider="mock"
    )
    create_workflow(
        actor=actor,
        workspace=prod.workspace,
        key="summarise-and-shout",
        name="Summarise and shout",
        steps=[
            {"name": "ask", "type": "prompt", "prompt_key": "text.summary", "env": "prod"},
            {"name": "answer", "type": "model", "provider": "mock"},
            {"name": "shout", "type": "transform", "op": "upper"},
        ],
    )
