"""Fills `default`/`prod` for a measurement, through the services; prints `name=value` lines."""

import sys

import django

django.setup()

from governance.access.actors import SYSTEM  # noqa: E402
from governance.access.roles import Role  # noqa: E402
from governance.identity.tokens import create_token, open_session  # noqa: E402
from governance.identity.users import create_user  # noqa: E402
from governance.tenancy.models import Environment  # noqa: E402
from prompts.models import Prompt, PromptVersion  # noqa: E402
from prompts.services import create_prompt, publish, set_rollout, update_prompt  # noqa: E402

CONTENT = "You are a helpful assistant for {{company}}. Answer {{name}} in {{language}}. " * 2


def seed(count: int) -> None:
    prod = Environment.objects.select_related("workspace").get(workspace_id="default", name="prod")
    _, secret = create_token(actor=SYSTEM, workspace=prod.workspace, name="bench", role=Role.VIEWER)
    print(f"token={secret}")  # noqa: T201
    user = create_user(actor=SYSTEM, username="bench", password=secret)
    print(f"session={open_session(user=user)[1]}")  # noqa: T201
    shown = create_prompt(actor=SYSTEM, environment=prod, key="prompt-0", content=CONTENT, model="gpt-4o-mini")
    version = publish(actor=SYSTEM, prompt=shown)
    print(f"prompt={shown.pk}")  # noqa: T201
    _copy(version, count - 1)
    rolled = create_prompt(actor=SYSTEM, environment=prod, key="rolled", content=CONTENT + "A")
    publish(actor=SYSTEM, prompt=rolled)
    publish(actor=SYSTEM, prompt=update_prompt(actor=SYSTEM, prompt=rolled, content=CONTENT + "B"))
    set_rollout(actor=SYSTEM, prompt=rolled, values={"variant_a": "v1", "variant_b": "v2", "weight_a": 30})


def _copy(version: PromptVersion, count: int) -> None:
    """So many more prompts like this one, straight into the tables: ten thousand writes are another measurement."""
    shown = version.prompt
    prompts = [
        Prompt(
            environment=shown.environment,
            key=f"prompt-{number}",
            content=shown.content,
            model=shown.model,
            version=version.label,
            draft_digest=version.digest,
            version_count=1,
            state="published",
        )
        for number in range(1, count + 1)
    ]
    Prompt.objects.bulk_create(prompts, batch_size=500)
    for prompt in prompts:
        prompt.live = PromptVersion(
            prompt=prompt,
            number=1,
            label=version.label,
            content=prompt.content,
            model=prompt.model,
            digest=version.digest,
            created_by="bench",
        )
    PromptVersion.objects.bulk_create([prompt.live for prompt in prompts if prompt.live], batch_size=500)
    Prompt.objects.bulk_update(prompts, ["live"], batch_size=500)


if __name__ == "__main__":
    seed(int(sys.argv[1]))
