"""Fills an installation as a team's would look after some weeks: for the screenshots in docs/.

`python -m tests.browser.showcase`, on the database of the environment.
"""

import os
import random
from datetime import datetime, timedelta
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
django.setup()

from django.utils import timezone  # noqa: E402  # after the app registry

from agents.services import create_agent  # noqa: E402
from governance.access.actors import SYSTEM, Actor  # noqa: E402
from governance.access.roles import Role  # noqa: E402
from governance.identity import users  # noqa: E402
from governance.identity.models import User  # noqa: E402
from governance.runs import rollups  # noqa: E402
from governance.runs.models import Run  # noqa: E402
from governance.tenancy.models import Environment  # noqa: E402
from prompts import services  # noqa: E402
from prompts.models import Prompt, PromptVersion  # noqa: E402
from tests.browser.support import PASSWORD  # noqa: E402
from workflows.services import create_workflow  # noqa: E402

SUPPORT = """You answer customers of {{company.name}}. Be brief, kind and exact.

Rules:
- Answer in {{language}}.
- If you do not know, say so, and offer to ask a colleague.
- Never promise a refund; {{refund_policy}}

The customer writes:
{{message}}

Your reply:"""
#: Key, name, category, tag, author, and each version's text with its note.
PROMPTS: list[tuple[str, str, str, str, str, dict[str, str]]] = [
    (
        "support.reply",
        "Support reply",
        "support",
        "customer",
        "mira",
        {
            SUPPORT.replace(", kind and exact", " and kind"): "First version",
            SUPPORT.replace("- Answer in {{language}}.\n", ""): "Exact, after the complaints of March",
            SUPPORT: "Answers in the customer's language",
        },
    ),
    (
        "support.triage",
        "Triage",
        "support",
        "routing",
        "jonas",
        {"Which team takes this? One of billing, shipping, other.\n\n{{message}}": "First version"},
    ),
    (
        "onboarding.welcome",
        "Welcome message",
        "onboarding",
        "mail",
        "mira",
        {"Hello {{name}}.": "First version", "Hello {{name}}, welcome to {{product}}!": "Names the product"},
    ),
    (
        "search.rewrite",
        "Query rewriting",
        "search",
        "latency",
        "ines",
        {
            "Rewrite as a search query: {{query}}": "First version",
            "Rewrite as a short search query, keep names: {{query}}": "Keeps names",
        },
    ),
    (
        "docs.summary",
        "Summary",
        "docs",
        "nightly",
        "ines",
        {"Summarise in five sentences:\n\n{{text}}": "First version"},
    ),
    (
        "docs.translate",
        "Translation",
        "docs",
        "nightly",
        "jonas",
        {"Translate into {{language}}, keep the markup:\n\n{{text}}": "First version"},
    ),
    (
        "billing.explain",
        "Explain an invoice",
        "billing",
        "customer",
        "mira",
        {"Explain this invoice to {{name}}:\n\n{{invoice}}": "First version"},
    ),
]
DRAFTS = {
    "support.reply": SUPPORT.replace("brief, kind and exact", "brief, warm and exact").replace(
        "Never promise a refund; {{refund_policy}}", "On refunds: {{refund_policy}}\n- Sign as {{agent.name}}."
    ),
    "docs.summary": "Summarise in three sentences, the most important first:\n\n{{text}}",
}
#: Provider, model, usual latency (ms), cost of 100 tokens (USD).
MODELS = [
    ("openai", "gpt-4o-mini", 620, "0.00021"),
    ("claude", "claude-3-5-haiku", 840, "0.00064"),
    ("ollama", "llama3.1", 1900, None),
]
RUNS = 1600


def fill() -> None:
    chance = random.Random(7)  # the same pictures every time
    people = {
        name: Actor.of_user(users.create_user(actor=SYSTEM, username=name, password=PASSWORD, role=role))
        for name, role in (("mira", Role.ADMIN), ("jonas", Role.EDITOR), ("ines", Role.EDITOR), ("sam", Role.VIEWER))
    }
    prod, dev = (
        Environment.objects.select_related("workspace").get(workspace_id="default", name=name)
        for name in ("prod", "dev")
    )
    for example in PROMPTS:
        write(example, people, prod)
    for key in ("support.reply", "search.rewrite"):
        services.copy_prompt(actor=people["ines"], prompt=of(key), environment=dev)
    for key, text in DRAFTS.items():
        services.update_prompt(actor=people["jonas"], prompt=of(key), content=text)
    rollout = {"enabled": True, "variant_a": "v2", "variant_b": "v1", "weight_a": 30}
    services.set_rollout(actor=people["ines"], prompt=of("search.rewrite"), values=rollout)
    for key, name, prompt_key in (
        ("searcher", "Search helper", "search.rewrite"),
        ("support", "Support in the chat", "support.reply"),
    ):
        create_agent(
            actor=people["jonas"], environment=prod, key=key, name=name, prompt_key=prompt_key, provider="mock"
        )
    steps = [
        {"name": "draft", "type": "render", "template": "Dear {{name}}, your refund of {{amount}} is on its way."},
        {"name": "four eyes", "type": "approval"},
        {"name": "send", "type": "transform", "op": "trim"},
    ]
    create_workflow(actor=people["mira"], workspace=prod.workspace, key="refund", name="Refund", steps=steps)
    grow_old(chance)
    log_runs(chance)


def write(example: tuple[str, str, str, str, str, dict[str, str]], actors: dict[str, Actor], prod: Environment) -> None:
    key, name, category, tag, author, versions = example
    first, *_ = versions
    prompt = services.create_prompt(
        actor=actors[author],
        environment=prod,
        key=key,
        name=name,
        category=category,
        tags=[tag],
        content=first,
        model="gpt-4o-mini",
        config={"temperature": 0.3, "max_tokens": 400},
    )
    for text, note in versions.items():
        prompt = services.update_prompt(actor=actors[author], prompt=of(key), content=text)
        services.publish(actor=actors[author], prompt=prompt, note=note)


def grow_old(chance: random.Random) -> None:
    """What was made just now was made over some weeks."""
    now = timezone.now()
    for number, version in enumerate(PromptVersion.objects.order_by("-created_at")):
        moment = now - timedelta(hours=5 + 19 * number + chance.randrange(12))
        PromptVersion.objects.filter(pk=version.pk).update(created_at=moment)
    for number, prompt in enumerate(Prompt.objects.order_by("-updated_at")):
        moment = now - timedelta(minutes=12 + number * number * 47)
        Prompt.objects.filter(pk=prompt.pk).update(updated_at=moment)


def of(key: str) -> Prompt:
    return Prompt.objects.select_related("environment__workspace").get(key=key, environment__name="prod")


def log_runs(chance: random.Random) -> None:
    """Runs of the last week, more of them by day than by night."""
    now = timezone.now()
    made: list[Run] = []
    moments: list[datetime] = []
    while len(made) < RUNS:
        moment: datetime = now - timedelta(hours=chance.random() ** 1.4 * 168)
        if chance.random() > (0.9 if 7 <= moment.hour <= 19 else 0.25):
            continue
        provider, model, latency, cost = chance.choices(MODELS, weights=(6, 3, 1))[0]
        variant = chance.choices("AB", weights=(30, 70))[0]
        searching = chance.random() < 0.4
        failed = chance.random() < 0.03
        tokens = chance.randrange(20, 400)
        made.append(
            Run(
                workspace_id="default",
                source="agent",
                ref_key="searcher" if searching else "support",
                environment="prod",
                version=("v2" if variant == "A" else "v1") if searching else "v3",
                variant=variant if searching else "",
                provider=provider,
                model=model,
                prompt_tokens=tokens * 3,
                output_tokens=0 if failed else tokens,
                cost_usd=Decimal(cost) * tokens / 100 if cost else None,
                latency_ms=int(latency * chance.lognormvariate(0, 0.4)),
                status="error" if failed else "ok",
                error="the provider did not answer in time" if failed else "",
                actor="shop",
            )
        )
        moments.append(moment)
    Run.objects.bulk_create(made)
    for run, moment in zip(made, moments, strict=True):
        run.created_at = moment
    Run.objects.bulk_update(made, ["created_at"], batch_size=500)
    rollups.rebuild()


if __name__ == "__main__":
    assert not User.objects.exists(), "this is for an empty installation"
    fill()
