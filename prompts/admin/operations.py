"""What is done to a prompt, a page each: it shows what would change, and does it when that is confirmed."""

import json
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern

from governance.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.diffs import Diff, side_by_side
from governance.services import environments
from prompts import services
from prompts.admin.forms import CopyForm, EndRolloutForm, FinishRolloutForm, PublishForm, RollbackForm, RolloutForm
from prompts.models import Prompt, PromptVersion
from prompts.usage import LOOKED_AT, shares

VERSIONS_A_PAGE = 50

State = Prompt | PromptVersion


def compare(old: State | None, new: State) -> dict[str, Any]:
    """What differs between two states of a prompt: the diff of their contents, and of what else is served with it."""
    model = (old.model if old else "", new.model)
    config = (_lines(old.config) if old else "{}", _lines(new.config))
    content: Diff = side_by_side(old.content if old else "", new.content)
    differs = not content.same or model[0] != model[1] or config[0] != config[1]
    return {
        "content": content,
        "model": model if model[0] != model[1] else None,
        "config": side_by_side(*config) if config[0] != config[1] else None,
        "same": not differs,
    }


def _lines(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)


class PromptOperations(ServiceAdmin[Prompt]):
    """The part of the prompts' admin that has a page for each operation."""

    def get_urls(self) -> list[URLPattern]:
        return [
            self.operation_url("publish", self.publish_view),
            self.operation_url("rollback", self.rollback_view),
            self.operation_url("copy", self.copy_view),
            self.operation_url("rollout", self.rollout_view),
            self.operation_url("end-rollout", self.end_rollout_view),
            self.operation_url("finish-rollout", self.finish_rollout_view),
            self.operation_url("versions", self.versions_view),
            *super().get_urls(),
        ]

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: PublishForm) -> str:
            version = services.publish(actor=actor, prompt=prompt, if_match=form.seen, **form.values)
            return f"Published {prompt.key} {version.label}."

        return self.operate(
            request,
            object_id,
            title="Publish",
            form_class=PublishForm,
            perform=perform,
            button="Publish",
            note="Makes a version of the draft as it is now, and makes it live: applications are served it at once.",
            template="prompts/admin/publish.html",
            facts=lambda prompt, form: {"live": prompt.live, "difference": compare(prompt.live, prompt)},
        )

    def rollback_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, prompt: Prompt, form: RollbackForm) -> str:
            done = services.rollback(actor=actor, prompt=prompt, if_match=form.seen, **form.values)
            return f"Rolled {done.key} back to {done.version}."

        def facts(prompt: Prompt, form: RollbackForm) -> dict[str, Any]:
            target = prompt.versions.filter(label=form["version"].value() or "").first()
            if target is None:
                return {}
            return {"target": target, "live": prompt.live, "difference": compare(prompt.live, target)}

        return self.operate(
            request,
            object_id,
            title="Roll back",
            form_class=RollbackForm,
            perform=perform,
            button="Roll back",
            template="prompts/admin/rollback.html",
            facts=facts,
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

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Every version, and the diff of the two that the address names (`a`, `b`; `draft` is the draft)."""
        prompt = self.get_object(request, object_id)
        if not self.has_view_permission(request, prompt):
            raise PermissionDenied
        if prompt is None:
            return self._missing(request, object_id)
        page = Paginator(prompt.versions.defer("content", "config"), VERSIONS_A_PAGE).get_page(request.GET.get("p"))
        labels = [version.label for version in page]
        chosen = [request.GET.get(name) or labels[place : place + 1] for place, name in ((1, "a"), (0, "b"))]
        old, new = (self._state(prompt, name if isinstance(name, str) else "".join(name)) for name in chosen)
        context = {
            **self.admin_site.each_context(request),
            "title": "Versions",
            "subtitle": str(prompt),
            "opts": self.opts,
            "original": prompt,
            "page": page,
            "old": old,
            "new": new,
            "difference": compare(old, new) if old and new else None,
            "may_change": self.has_change_permission(request, prompt),
            "media": self.media,
            "back": self.page_of(prompt.pk),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "prompts/admin/versions.html", context)

    def _state(self, prompt: Prompt, name: str) -> State | None:
        return prompt if name == "draft" else prompt.versions.filter(label=name).first()
