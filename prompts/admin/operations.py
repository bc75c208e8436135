"""What is done to a prompt, a page each: it shows what would change, and does it when that is confirmed."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from governance.access.actors import Actor
from governance.admin.versioned import VersionedAdmin
from governance.core.diffs import side_by_side
from governance.tenancy import environments
from prompts import services
from prompts.admin.forms import (
    CopyForm,
    EndRolloutForm,
    FinishRolloutForm,
    PublishPromptForm,
    RollbackPromptForm,
    RolloutForm,
    VersionForm,
)
from prompts.content import stored
from prompts.models import Prompt, PromptVersion, long_columns
from prompts.usage import LOOKED_AT, shares

State = Prompt | PromptVersion


def compare(old: State | None, new: State) -> dict[str, Any]:
    """What differs between two states of a prompt: the diff of their contents, and of what else is served with it."""
    model = (old.model if old else "", new.model)
    config = (_lines(old.config) if old else "{}", _lines(new.config))
    content = stored.of_row(new).compare(stored.of_row(old) if old else None)
    differs = not content.same or model[0] != model[1] or config[0] != config[1]
    return {
        "content": content,
        "model": model if model[0] != model[1] else None,
        "config": side_by_side(*config) if config[0] != config[1] else None,
        "same": not differs,
    }


def _lines(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)


class PromptOperations(VersionedAdmin[Prompt]):
    """The part of the prompts' admin that has a page for each operation."""

    services = services
    compare = staticmethod(compare)
    templates = "prompts/admin"
    bulky = tuple(long_columns())
    publish_form = PublishPromptForm
    rollback_form = RollbackPromptForm
    publish_note = "Makes a version of the draft as it is now, and makes it live: applications are served it at once."

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("snapshot", self.snapshot_view),
            self.operation_url("copy", self.copy_view),
            self.operation_url("rollout", self.rollout_view),
            self.operation_url("end-rollout", self.end_rollout_view),
            self.operation_url("finish-rollout", self.finish_rollout_view),
            *super().get_urls(),
        ]

    def snapshot_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: VersionForm) -> str:
            version, new = services.create_version(actor=actor, prompt=prompt, if_match=form.seen, **form.values)
            if new:
                return f"Made version {version.label} of {prompt.key}. What is live has not changed."
            return f"Version {version.label} of {prompt.key} is this draft already."

        return self.operate(
            request,
            object_id,
            title="Make a version",
            form_class=VersionForm,
            perform=perform,
            button="Make it",
            note="Keeps the draft as it is now as a version, and changes nothing that applications are served.",
        )

    def copy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: CopyForm) -> str:
            name = form.values.pop("env")
            environment = environments.resolve(prompt.environment.workspace, name, actor=actor)
            copy, new = services.copy_prompt(actor=actor, prompt=prompt, environment=environment, **form.values)
            if new:
                return f"Copied {prompt.key} to {name} as {copy.key}: a draft, to be published there."
            return f"The draft of {copy.key} in {name} is now this one's: publish it there."

        return self.operate(
            request,
            object_id,
            title="Copy to another environment",
            form_class=CopyForm,
            perform=perform,
            button="Copy",
            note="Copies the draft. What applications are served there changes when it is published there.",
        )

    def rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: RolloutForm) -> str:
            rollout = services.set_rollout(actor=actor, prompt=prompt, values=form.values, if_match=form.seen)
            return f"Rollout of {prompt.key}: {rollout}."

        def facts(prompt: Prompt, form: RolloutForm) -> dict[str, Any]:
            rollout = form.rollout()
            if rollout is None:
                return {"too_few": prompt.version_count < 2}
            difference = compare(rollout.variant_a, rollout.variant_b)
            return {"rollout": rollout, "shares": shares(prompt, rollout), "limit": LOOKED_AT, "difference": difference}

        return self.operate(
            request,
            object_id,
            title="Rollout",
            form_class=RolloutForm,
            perform=perform,
            button="Save rollout",
            template="prompts/admin/rollout.html",
            facts=facts,
        )

    def end_rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: EndRolloutForm) -> str:
            services.delete_rollout(actor=actor, prompt=prompt)
            return f"Ended the rollout of {prompt.key}: everybody is served the live version."

        return self.operate(
            request,
            object_id,
            title="Stop the rollout",
            form_class=EndRolloutForm,
            perform=perform,
            button="Stop the rollout",
            note="The rollout is removed; the live version is served to everybody again.",
        )

    def finish_rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: FinishRolloutForm) -> str:
            winner = form.cleaned_data["winner"]
            done = services.finish_rollout(actor=actor, prompt=prompt, winner=winner, if_match=form.seen)
            return f"Finished the rollout of {prompt.key}: {done.live} is live for everybody."

        return self.operate(
            request,
            object_id,
            title="Finish the rollout",
            form_class=FinishRolloutForm,
            perform=perform,
            button="Make it live",
            note="The variant that you choose becomes live for everybody, and the rollout ends.",
        )
