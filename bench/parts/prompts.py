"""The back office's pages of very many prompts: as quick at a hundred thousand as at a thousand?

`python -m bench prompts` calls this in a process of its own, on the database of the environment.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
os.environ.setdefault("PROMPTOPS_LOG_LEVEL", "WARNING")
django.setup()

from django.db import connection  # noqa: E402  # after the app registry
from django.db.models import OuterRef, Subquery  # noqa: E402

from bench.load.pages import best, logged_in  # noqa: E402
from governance.access.roles import Role  # noqa: E402
from governance.tenancy.models import Environment  # noqa: E402
from prompts import searching  # noqa: E402
from prompts.content.text import TextContent  # noqa: E402
from prompts.models import Prompt, PromptTag, PromptVersion  # noqa: E402

CONTENT = "You answer for {{company}}. Be brief and kind. Answer {{name}} in {{language}}.\n" * 12
BATCH = 2000


def fill(count: int) -> None:
    """So many prompts in three environments, of 40 categories and 200 tags.

    A tenth was never published, and a tenth has changed since.
    """
    Prompt.objects.update(live=None)
    Prompt.objects.all().delete()
    environments = list(Environment.objects.filter(workspace_id="default").order_by("name"))
    digest = TextContent(CONTENT).digest(model="m", config={})
    for start in range(0, count, BATCH):
        prompts = [
            Prompt(
                environment=environments[number % len(environments)],
                key=f"prompt-{number}",
                name=f"Prompt {number}",
                category=f"category {number % 40}",
                category_form=f"category {number % 40}",
                content=CONTENT,
                model="m",
                draft_digest="other" if number % 10 == 1 else digest,
                state=("draft", "modified")[number % 10] if number % 10 < 2 else "published",
                changed_by="bench",
            )
            for number in range(start, min(start + BATCH, count))
        ]
        Prompt.objects.bulk_create(prompts)
        versions = [
            PromptVersion(
                prompt=prompt, number=1, label="v1", content=CONTENT, model="m", digest=digest, created_by="bench"
            )
            for number, prompt in enumerate(prompts, start)
            if number % 10
        ]
        PromptVersion.objects.bulk_create(versions)
        PromptTag.objects.bulk_create(
            PromptTag.of(prompt, f"tag-{(number * step) % 200}")
            for number, prompt in enumerate(prompts, start)
            for step in (1, 7)
            if step == 1 or number * 6 % 200
        )
        searching.update(*prompts)
    own_version = PromptVersion.objects.filter(prompt=OuterRef("pk")).values("pk")
    Prompt.objects.update(live=Subquery(own_version))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def pages(count: int) -> dict[str, str]:
    prompts = "/admin/prompts/prompt/"
    shown = Prompt.objects.order_by("key").values_list("pk", flat=True)[count // 2]
    return {
        "home": "/admin/",
        "list of prompts, first page": prompts,
        f"list of prompts, page {count // 50 * 9 // 10:,}": f"{prompts}?p={count // 50 * 9 // 10}",
        "list of prompts of an environment": f"{prompts}?env=prod",
        "list of prompts, changed since": f"{prompts}?status=modified",
        "list of prompts, never published": f"{prompts}?status=draft",
        "list of prompts, published": f"{prompts}?status=published",
        "list of prompts of a category": f"{prompts}?category=category 7",
        "list of prompts with a tag": f"{prompts}?tag=tag-7",
        "list of prompts by key": f"{prompts}?o=1",
        "list of prompts, search in all of the text": f"{prompts}?q=prompt-{count // 2}",
        "list of prompts, search for what all have": f"{prompts}?q=answer",
        "list of prompts, search for two letters": f"{prompts}?q=zz",
        "list of prompts, search for two words": f"{prompts}?q=prompt-{count // 2} tag-7",
        "list of versions, search": f"/admin/prompts/promptversion/?q=prompt-{count // 2}",
        "list of versions": "/admin/prompts/promptversion/",
        "page of a prompt": f"{prompts}{shown}/change/",
    }


def measure(count: int) -> dict[str, float]:
    """Milliseconds for each page through the whole of Django, the best of five."""
    found: dict[str, float] = {}
    for role in (Role.ADMIN, Role.EDITOR):
        client = logged_in(role)
        best(client, "/admin/", times=1)  # loads what is loaded once
        found |= {f"{name}; {role}": best(client, path) for name, path in pages(count).items()}
    return found


def main(write: Callable[[str], Any] = sys.stdout.write) -> None:
    for count in map(int, sys.argv[1:]):
        fill(count)
        write(json.dumps({"rows": count, "database": connection.vendor, "ms": measure(count)}) + "\n")


if __name__ == "__main__":
    main()
